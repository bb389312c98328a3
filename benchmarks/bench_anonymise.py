"""What anonymisation costs refine: CPU time of one process, with and without the default policy, in the same run.

`python benchmarks/bench_anonymise.py [--events FOLDER]` prints a table. Compact events have 360 bytes,
their own run ids and 100 jobs; recorded ones are those of FOLDER, repeated with run ids and times of their own.
`varied`: each event also has a facet whose text no other event has. `personal`: and an actor, and in that facet an
e-mail address and a home path; there are 1,000 persons. No batch comes twice. Nothing is produced; the vault is one in
a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from proventrail.privacy.policy.policy import default_policy
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.verdict import lenient
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.refine import Refine
from proventrail.stream_processors.steps.anonymise import Anonymise, Anonymiser, keep_all
from proventrail.stream_processors.steps.batch import RawBatch

BATCH = 5_000
BATCHES = 9


def compact(n: int) -> dict[str, Any]:
    """An event of the SDK without facets."""
    return {
        "id": str(uuid.UUID(int=n + (1 << 100))),
        "source": "https://example.org/bench",
        "time": 1_700_000_000_000_000 + n * 1000,
        "kind": "RUN",
        "type": "START",
        "run": {"id": str(uuid.UUID(int=n))},
        "job": {"namespace": "bench", "name": f"job-{n % 100}"},
        "inputs": [{"namespace": "s3://bucket", "name": f"raw/{n % 100}"}],
        "outputs": [{"namespace": "postgres://db:5432", "name": f"shop.public.t{n % 100}"}],
        "column_lineage": [],
    }


def recorded(folder: Path) -> list[dict[str, Any]]:
    """The OpenLineage events below `folder`."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        if "spec_schemas" in path.parts:
            continue
        told = json.loads(path.read_text(encoding="utf-8"))
        for item in told if isinstance(told, list) else [told]:
            body = item.get("body", item) if isinstance(item, dict) else item
            if isinstance(body, dict) and not lenient(body):
                found.append(body)
    return found


def repeated(events: Sequence[dict[str, Any]], n: int, kind: str = "plain") -> dict[str, Any]:
    """Event `n` of an endless series: a recorded one under a run id and time of its own."""
    told = dict(events[n % len(events)])
    told["eventTime"] = f"2026-11-25T09:{n // 60 % 60:02d}:{n % 60:02d}.{n % 1_000_000:06d}Z"
    if "run" in told:
        facets = dict(told["run"].get("facets") or {})
        if kind != "plain":
            facets["progress"] = {"_producer": "https://example.org/bench", "rows": n * 7, "step": f"stage {n}"}
        if kind == "personal":
            person = f"user{n % 1000}"
            facets["progress"]["note"] = f"written to /home/{person}/out by {person}@corp.com at step {n}"
        told["run"] = {"runId": str(uuid.UUID(int=n)), "facets": facets}
    record = from_openlineage(told)
    if kind == "personal":
        record["actor"] = f"user{n % 1000}"
    return record


def batches(records: Iterator[dict[str, Any]]) -> list[RawBatch]:
    found = []
    for b in range(BATCHES):
        values: list[bytes | None] = [avro.encode("lineage_event", next(records)) for _ in range(BATCH)]
        offsets = list(range(b * BATCH, (b + 1) * BATCH))
        found.append(RawBatch("lineage.events", str(uuid.UUID(int=1)), 0, offsets, offsets, [b"k"] * BATCH, values))
    return found


def rates(work: Sequence[RawBatch], ways: Sequence[Anonymise]) -> list[float]:
    """Events per second of CPU time of each way, in turns: the median of the batches after the first."""
    stages = [Refine(Catalog(), way) for way in ways]
    spent: list[list[float]] = [[] for _ in ways]
    for batch in work:
        for stage, times in zip(stages, spent, strict=True):
            started = time.process_time()
            stage(batch)
            times.append(time.process_time() - started)
    return [BATCH / statistics.median(times[1:]) for times in spent]


def compare(
    anonymise: Anonymise, events: Sequence[dict[str, Any]], seconds: float = 5.0
) -> list[tuple[str, int, float, float]]:
    """Rows of the table: workload, bytes per event, events/s without and with the policy."""
    count = range(10**9)
    workloads = [
        ("compact", (compact(n) for n in count)),
        ("recorded", (repeated(events, n) for n in count)),
        ("recorded, varied", (repeated(events, n, "varied") for n in count)),
        ("recorded, personal", (repeated(events, n, "personal") for n in count)),
    ]
    table = []
    for name, records in workloads:
        work = batches(iter(records))
        size = sum(len(value or b"") for batch in work for value in batch.values) // (BATCH * BATCHES)
        without, with_policy = rates(work, [keep_all, anonymise])
        table.append((name, size, without, with_policy))
    return table


def shipped(folder: Path) -> Anonymiser:
    """The default policy with the real detector and a vault below `folder`."""
    from proventrail.privacy.detect import Detector
    from proventrail.privacy.normalise import normalise
    from proventrail.privacy.spans import KINDS
    from proventrail.privacy.vault import FileKeys, open_vault
    from proventrail.privacy.vault.seal import seal

    groups = {kind.name: kind.group for kind in KINDS.values()}
    vault = open_vault(folder / "vault.sqlite", FileKeys(folder / "key"))
    return Anonymiser(default_policy(groups), Detector(), normalise, vault, seal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, default=Path("examples/recorded"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = compare(shipped(Path(folder)), recorded(options.events))
    print(f"{'events':<20}{'bytes':>8}{'without/s':>12}{'with/s':>12}{'ratio':>8}")
    for name, size, without, with_policy in table:
        print(f"{name:<20}{size:>8}{without:>12,.0f}{with_policy:>12,.0f}{with_policy / without:>8.2f}")


if __name__ == "__main__":
    main()
