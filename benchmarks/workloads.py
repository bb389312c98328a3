"""The events that are measured with, made beforehand so that making them is not measured.

`compact`: RunEvents of 360 bytes of Avro as the SDK sends them, a START and a COMPLETE for each run, two runs in a
hundred failing, 500 jobs, a hundred runs under way at any time. `recorded`: what clients of OpenLineage really sent
(`examples/recorded`, and `../shared` where it is there), again and again with other run ids and times, so that every
one is an event of its own. Same number, same bytes, on every machine and every day; but the times end when it is made.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from proventrail.producers.identity import EventIds
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage, job_key, parse_time
from proventrail.schemas.verdict import lenient

Kind = Literal["compact", "recorded"]
Json = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parent.parent
JOBS = 500
FIRST_MICROS = 1_790_000_000_000_000
_UNDER_WAY = 100
_SCHEMA_URL = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


@dataclass(frozen=True)
class Workload:
    """Records of `lineage.events`: key and framed Avro of each, in the order they are sent."""

    kind: Kind
    keys: list[bytes]
    values: list[bytes]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean_bytes(self) -> float:
        return sum(map(len, self.values)) / max(1, len(self.values))


def make(kind: Kind, events: int, seed: int = 0) -> Workload:
    """`events` events of a kind; other seeds give other runs."""
    return (compact if kind == "compact" else recorded)(events, seed)


def _run_id(seed: int, n: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{n}"))


def _timely_run_id(seed: int, n: int) -> str:
    """A UUIDv7, as the SDK and today's clients of OpenLineage make them: runs near in time have ids near to another."""
    text = uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{n}").hex
    milliseconds = FIRST_MICROS // 1000 + seed * 10**9 + n * 20
    return str(uuid.UUID(f"{milliseconds:012x}7{text[13:16]}8{text[17:]}"))


def compact_record(n: int, run: str, *, ends: bool) -> Json:
    """Event of the run number `n`: its START with inputs, or its end with outputs, as a record of `lineage_event`."""
    job = n % JOBS
    start = FIRST_MICROS + n * 20_000
    event: Json = {
        "source": "https://example.org/etl/2.4",
        "time": start + 60_000_000 + n % 977 * 1000 if ends else start,
        "kind": "RUN",
        "type": ("FAIL" if n % 50 == 7 else "COMPLETE") if ends else "START",
        "schema_url": _SCHEMA_URL,
        "run": {"id": run},
        "job": {"namespace": f"warehouse-{job % 8}", "name": f"daily.load_{job:03d}"},
        "processing_type": "BATCH",
        "integration": "PYTHON",
        "job_type": "TASK",
        "inputs": [{"namespace": "postgres://db.internal:5432", "name": f"shop.public.table_{job:03d}"}],
        "outputs": [{"namespace": "s3://lake-prod", "name": f"features/table_{(job + 1) % JOBS:03d}"}] if ends else [],
        "column_lineage": [],
        "actor": "etl",
    }
    return event


def compact(events: int, seed: int = 0) -> Workload:
    """`events` RunEvents of the SDK, half of them START and half an end."""
    keys: list[bytes] = []
    values: list[bytes] = []
    emitters = [EventIds(f"etl-{seed}-{i}", FIRST_MICROS) for i in range(8)]
    sequences = [0] * len(emitters)
    for n, ends in _starts_and_ends(-(-events // 2)):
        event = compact_record(n, _timely_run_id(seed, n), ends=ends)
        emitter = n % len(emitters)
        event["id"] = emitters[emitter].id_of(sequences[emitter])
        event["emitter"] = {"id": f"etl-{seed}-{emitter}", "epoch": FIRST_MICROS, "sequence": sequences[emitter]}
        sequences[emitter] += 1
        keys.append(job_key(event))
        values.append(avro.encode("lineage_event", event))
    return Workload("compact", keys[:events], values[:events])


def _starts_and_ends(runs: int) -> Iterator[tuple[int, bool]]:
    for n in range(runs + _UNDER_WAY):
        if n < runs:
            yield n, False
        if n >= _UNDER_WAY:
            yield n - _UNDER_WAY, True


@cache
def recordings() -> tuple[str, ...]:
    """JSON texts of all recorded events that an intake would take, in the order of their files."""
    shared = REPOSITORY.parent / "shared"
    folders = (
        [shared / "recorded", shared / "openlineage"] if shared.is_dir() else [REPOSITORY / "examples" / "recorded"]
    )
    texts: list[str] = []
    for path in (path for folder in folders for path in sorted(folder.rglob("*.json"))):
        content = json.loads(path.read_text(encoding="utf-8"))
        for item in content if isinstance(content, list) else [content]:
            event = item.get("body", item) if isinstance(item, dict) else item
            if isinstance(event, dict) and "$schema" not in event and not lenient(event):
                texts.append(json.dumps(event, separators=(",", ":"), ensure_ascii=False))
    return tuple(texts)


def _run_of(text: str) -> str:
    run = json.loads(text).get("run")
    return str(run["runId"]) if run else ""


def recorded(events: int, seed: int = 0) -> Workload:
    """`events` events as clients sent them, with run ids and times of their own."""
    templates = [(text, _run_of(text)) for text in recordings()]
    runs = sorted({run for _, run in templates if run})
    keys: list[bytes] = []
    values: list[bytes] = []
    for n in range(events):
        session, at = divmod(n, len(templates))
        text, _ = templates[at]
        for position, run in enumerate(runs):
            if run in text:
                text = text.replace(run, _run_id(seed + 1_000, session * len(runs) + position))
        event = json.loads(text)
        moment = parse_time(event["eventTime"])
        assert moment is not None
        record = from_openlineage(event)
        record["time"] = FIRST_MICROS + session * 1_000_000 + moment % 1_000_000
        record["id"] = _run_id(seed + 2_000, n)
        keys.append(job_key(record))
        values.append(avro.encode("lineage_event", record))
    return Workload("recorded", keys, values)
