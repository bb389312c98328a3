"""What `emit` costs the code that calls it: with a broker, and with none (events go to the spool)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.broker import broker
from benchmarks.report import Options, Row
from benchmarks.workloads import compact_record
from proventrail.embedded.broker import free_port
from proventrail.producers import Emitter


def run(options: Options) -> Iterator[Row]:
    """Microseconds of one call, median and 99th percentile over all calls of a run."""
    events = options.count(50_000, 20_000)
    with broker(options.scratch / "emit-kafka") as servers:
        yield from _rows("broker up", servers, options, events)
    nowhere = f"127.0.0.1:{free_port()}"
    yield from _rows("broker away, to the spool", nowhere, options, events)


def _rows(case: str, servers: str, options: Options, events: int) -> Iterator[Row]:
    medians, high, costs = [], [], []
    for n in range(options.runs):
        spool = options.scratch / f"spool-{case.split(' ')[1].rstrip(',')}-{n}"
        used = time.process_time()
        took = sorted(_timed(servers, spool, events))
        costs.append((time.process_time() - used) * 1e6 / events)
        medians.append(statistics.median(took) / 1e3)
        high.append(took[len(took) * 99 // 100] / 1e3)
    yield Row("emit", f"median, {case}", "µs", tuple(medians), statistics.median(costs), "≤ 50")
    yield Row("emit", f"p99, {case}", "µs", tuple(high))


def _timed(servers: str, spool: Path, events: int) -> list[int]:
    """Nanoseconds of each call."""
    records = [compact_record(n, f"run-{n}", ends=n % 2 == 1) for n in range(events)]
    clock = time.perf_counter_ns
    took = []
    emitter = Emitter(servers, spool_dir=spool, flush_seconds=0.5, emitter_id="bench")
    emitter.emit(compact_record(0, "first", ends=False))
    # Time to connect, or to find that there is nobody to connect to.
    time.sleep(1.0)
    for record in records:
        before = clock()
        emitter.emit(record)
        took.append(clock() - before)
    emitter.close(30.0 if not emitter.stats.spooled else 0.0)
    return took
