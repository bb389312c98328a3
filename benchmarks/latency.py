"""From send to queryable, at half the load that the pipeline must sustain.

Probe events go along with the load, one every 20 ms for each of eight jobs, and a client asks the SQL endpoint again
and again which of them it has. An event counts as queryable when the answer that holds it is back, so a figure is too
high by up to the time between two questions; that time is given beside it.
"""

from __future__ import annotations

import statistics
import threading
import time
import uuid
from collections.abc import Iterator

from benchmarks.processes import per_event
from benchmarks.report import Options, Row
from benchmarks.sender import Sender, finish, producer
from benchmarks.whole import Whole, whole
from benchmarks.workloads import Kind, compact_record
from proventrail.schemas import avro
from proventrail.schemas.topics import LINEAGE_EVENTS

_RATES: dict[Kind, int] = {"compact": 30_000, "recorded": 5_000}
_JOBS = 8
_SPACING = 0.02
_QUESTION = (
    "SELECT job_name, max(emitter_sequence) FROM proventrail.events WHERE job_namespace = 'probe' GROUP BY job_name"
)


def run(options: Options) -> Iterator[Row]:
    """Percentiles in seconds."""
    seconds = 10 if options.quick else 30
    for kind in options.kinds:
        rate = _RATES[kind]
        events = options.count(rate * seconds, rate * seconds)
        with whole(options.scratch / f"latency-{kind}") as pipeline:
            yield from _of_load(pipeline, kind, events, rate)


def _of_load(pipeline: Whole, kind: Kind, events: int, rate: int) -> Iterator[Row]:
    pipeline.warm_up(kind, min(events, 2_000))
    sender = Sender(pipeline.servers, kind, events, seed=1, rate=rate)
    probes = _Probes(pipeline.servers, min(30.0, events / rate + 1.0))
    meter = pipeline.meter()
    sender.go()
    seen, gaps = _watch(pipeline, probes)
    sent = sender.done()
    used = meter.used()
    waits = sorted(seen[probe] - probes.sent[probe] for probe in seen)
    kept = events / (sent.acknowledged - sent.started)
    note = f"{len(waits)} probes, asked every {statistics.mean(gaps) * 1e3:.0f} ms; sent {kept:,.0f}/s"
    case = f"{kind}, {rate}/s"
    cost = sum(used.values()) * 1e6 / events
    yield Row("latency", f"p50, {case}", "s", (statistics.median(waits),), cost, note=note)
    note = f"CPU µs/event: {per_event(used, events)}"
    yield Row("latency", f"p99, {case}", "s", (waits[len(waits) * 99 // 100],), goal="≤ 2", note=note)


class _Probes:
    """Sends probe events from a thread; `sent[job, sequence]` is when."""

    def __init__(self, servers: str, seconds: float) -> None:
        self.sent: dict[tuple[str, int], float] = {}
        self.count = max(1, int(seconds / _SPACING))
        self.thread = threading.Thread(target=self._run, args=(servers,), daemon=True)

    def _run(self, servers: str) -> None:
        client = producer(servers)
        client.list_topics(LINEAGE_EVENTS, timeout=30)
        for sequence in range(self.count):
            for job in (f"job-{n}" for n in range(_JOBS)):
                event = {
                    **compact_record(sequence, str(uuid.uuid4()), ends=True),
                    "id": str(uuid.uuid4()),
                    "job": {"namespace": "probe", "name": job},
                    "emitter": {"id": "probe", "epoch": 1, "sequence": sequence},
                }
                value = avro.encode("lineage_event", event)
                self.sent[job, sequence] = time.time()
                client.produce(LINEAGE_EVENTS, value, f"probe/{job}".encode())
            client.poll(0)
            time.sleep(_SPACING)
        finish(client)


def _watch(
    pipeline: Whole, probes: _Probes, seconds: float = 300.0
) -> tuple[dict[tuple[str, int], float], list[float]]:
    """When each probe was seen first, and the seconds between questions. Raises TimeoutError if some never are."""
    seen: dict[tuple[str, int], float] = {}
    newest = dict.fromkeys((f"job-{n}" for n in range(_JOBS)), -1)
    gaps: list[float] = []
    probes.thread.start()
    started = before = time.time()
    while len(seen) < probes.count * _JOBS:
        # Events of a job stay in order, so all up to the newest one are there.
        answer = pipeline.store.rows(_QUESTION)
        now = time.time()
        gaps.append(now - before)
        before = now
        for job, sequence in answer:
            seen.update({(job, at): now for at in range(newest[job] + 1, sequence + 1)})
            newest[job] = max(newest[job], sequence)
        if now - started > seconds:
            raise TimeoutError(f"{len(seen)} of {probes.count * _JOBS} probes were stored after {seconds:.0f} s")
        time.sleep(0.05)
    return seen, gaps
