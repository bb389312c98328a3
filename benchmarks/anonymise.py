"""What anonymisation costs: refine with and without the shipped policy, and detection in free text.

`recorded` events repeat their facets, as a job that runs again does. `varied`: each has a facet whose text no other
has. `personal`: and an actor, and in that facet an e-mail address and a home path; there are 1,000 persons. This is the
worst case. No batch comes twice. Nothing is produced; the vault is one in a temporary folder.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from benchmarks.privacy.rivals import RIVALS
from benchmarks.privacy.speed import free_text, speed
from benchmarks.report import Options, Row
from benchmarks.stages import raw_batches
from benchmarks.workloads import Workload, compact, recordings
from proventrail.privacy.detect import Detector
from proventrail.privacy.normalise import normalise
from proventrail.privacy.policy.policy import default_policy
from proventrail.privacy.spans import KINDS
from proventrail.privacy.vault import FileKeys, open_vault
from proventrail.privacy.vault.seal import seal
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.refine import Refine
from proventrail.stream_processors.steps.anonymise import Anonymise, Anonymiser, keep_all
from proventrail.stream_processors.steps.batch import RawBatch

_BATCHES = 9
_RIVAL_TEXTS = 300

Variant = Literal["recorded", "varied", "personal"]


def _event(told: dict[str, Any], n: int, variant: Variant) -> bytes:
    """Event `n`: a recorded one under a run id and time of its own."""
    told = dict(told)
    told["eventTime"] = f"2026-11-25T09:{n // 60 % 60:02d}:{n % 60:02d}.{n % 1_000_000:06d}Z"
    if "run" in told:
        facets = dict(told["run"].get("facets") or {})
        if variant != "recorded":
            facets["progress"] = {"_producer": "https://example.org/bench", "rows": n * 7, "step": f"stage {n}"}
        if variant == "personal":
            person = f"user{n % 1000}"
            facets["progress"]["note"] = f"written to /home/{person}/out by {person}@corp.com at step {n}"
        told["run"] = {"runId": str(uuid.UUID(int=n)), "facets": facets}
    record = from_openlineage(told)
    if variant == "personal":
        record["actor"] = f"user{n % 1000}"
    return avro.encode("lineage_event", record)


def _recorded(count: int, variant: Variant) -> Workload:
    events = [json.loads(text) for text in recordings()]
    values = [_event(events[n % len(events)], n, variant) for n in range(count)]
    return Workload("recorded", [b"k"] * count, values)


def _rates(work: Sequence[RawBatch], ways: Sequence[Anonymise]) -> list[tuple[float, ...]]:
    """Events per second of CPU time of each way, in turns: of each batch after the first."""
    stages = [Refine(Catalog(), way) for way in ways]
    rates: list[list[float]] = [[] for _ in ways]
    for batch in work:
        for stage, found in zip(stages, rates, strict=True):
            started = time.process_time()
            stage(batch)
            found.append(len(batch.values) / max(time.process_time() - started, 1e-6))
    return [tuple(found[1:] or found) for found in rates]


def _shipped(folder: Path) -> Anonymiser:
    """The default policy with the real detector and a vault below `folder`."""
    groups = {kind.name: kind.group for kind in KINDS.values()}
    vault = open_vault(folder / "vault.sqlite", FileKeys(folder / "key"))
    return Anonymiser(default_policy(groups), Detector(), normalise, vault, seal)


def _policy_rows(case: str, load: Workload, policy: Anonymise, *, ratio_goal: str, rate_goal: str) -> Iterator[Row]:
    work = raw_batches(load, -(-len(load) // _BATCHES))
    without, under = _rates(work, [keep_all, policy])
    size = f"{load.mean_bytes:.0f} bytes"
    yield Row("anonymise", f"without policy, {case}", "events/s", without, note=size)
    cpu = 1e6 / statistics.median(under)
    yield Row("anonymise", f"shipped policy, {case}", "events/s", under, cpu, goal=rate_goal)
    share = tuple(mine / theirs for mine, theirs in zip(under, without, strict=True))
    yield Row("anonymise", f"speed kept, {case}", "share", share, goal=ratio_goal)


def _detection_rows(texts: list[str]) -> Iterator[Row]:
    """MB/s of one core, other detectors where they are installed."""
    detector = Detector()
    rate = speed(lambda all_: [detector.scan(text) for text in all_], texts)
    yield Row("anonymise", "detection, free text", "MB/s", (rate,), goal="≥ 20", note=f"{len(texts)} distinct strings")
    for other in RIVALS:
        if other.installed:
            analyse = other.make()
            rate = speed(lambda all_, run=analyse: [run(text) for text in all_], texts[:_RIVAL_TEXTS])  # type: ignore[misc]
            yield Row(
                "anonymise", f"{other.title}, free text", "MB/s", (rate,), baseline="anonymise/detection, free text"
            )


def run(options: Options) -> Iterator[Row]:
    """Refine with and without the policy, by workload, then detection alone."""
    policy = _shipped(options.scratch)
    count = options.count(45_000, 18_000)
    yield from _policy_rows("compact", compact(count), policy, ratio_goal="≥ 0.6", rate_goal="")
    variants: tuple[Variant, ...] = ("recorded", "varied", "personal")
    for variant in variants:
        load = _recorded(count, variant)
        yield from _policy_rows(
            variant, load, policy, ratio_goal="", rate_goal="≥ 8000" if variant != "personal" else ""
        )
    yield from _detection_rows(free_text(options.count(20_000, 5_000)))
