"""One stage alone, in this process and on one thread, without Kafka: what its own work costs, and where it goes.

Refine gets batches as the consumer would give them; the sink's writer gets what refine made of them and inserts it
into a store of its own.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.report import Options, Row
from benchmarks.workloads import Kind, Workload, make
from proventrail.storage.engine import EMBEDDED_DIALECT, Engine
from proventrail.storage.migrations import migrate
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.sink.writer import Chunk
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.refine import Refine, Refined
from proventrail.stream_processors.steps.batch import RawBatch

TOPIC_ID = "11111111-2222-4333-8444-555555555555"
_RECEIVED_MS = 1_790_000_100_000


@dataclass(frozen=True)
class _Size:
    kind: Kind
    full: int
    quick: int
    batch: int
    """Events in one batch of refine."""
    chunk: int
    """Events in one insert, as the sink cuts them under load."""


SIZES = (_Size("compact", 200_000, 100_000, 10_000, 20_000), _Size("recorded", 20_000, 10_000, 2_500, 2_500))


def raw_batches(load: Workload, size: int) -> list[RawBatch]:
    """`load` as batches of one raw partition."""
    found = []
    for first in range(0, len(load), size):
        values = load.values[first : first + size]
        offsets = list(range(first, first + len(values)))
        times = [_RECEIVED_MS + offset // 60 for offset in offsets]
        keys = load.keys[first : first + size]
        found.append(RawBatch("lineage.events", TOPIC_ID, 0, offsets, times, list(keys), list(values)))
    return found


def refined_chunks(load: Workload, size: int) -> list[Chunk]:
    """What the sink reads after refine has worked off `load`."""
    refine = Refine(Catalog())
    found = []
    for raw in raw_batches(load, size):
        values = refine(raw).values
        first, n = raw.offsets[0], len(values)
        found.append(
            Chunk("lineage.refined", TOPIC_ID, 0, first, first + n, raw.offsets[:n], [None] * n, list(values), [0] * n)
        )
    return found


def run_refine(options: Options) -> Iterator[Row]:
    """Events per second of one process, Kafka not counted."""
    for size in (size for size in SIZES if size.kind in options.kinds):
        load = make(size.kind, options.count(size.full, size.quick))
        batches = raw_batches(load, size.batch)
        refine = Refine(Catalog())
        refine(batches[0])

        def work(refine: Callable[[RawBatch], Refined] = refine, batches: list[RawBatch] = batches) -> None:
            for raw in batches:
                refine(raw)

        yield _row("refine", f"{size.kind}, {load.mean_bytes:.0f} bytes", work, len(load), options)


def run_sink(options: Options) -> Iterator[Row]:
    """Events per second of one writer with the engine in its process, Kafka not counted; then what lies on the disk."""
    # A process can have one engine: the workloads share it, each with a database of its own.
    engine = Engine(options.scratch / "sink-store")
    store = engine.store()
    for size in (size for size in SIZES if size.kind in options.kinds):
        chunks = refined_chunks(make(size.kind, options.count(size.full, size.quick)), size.chunk)
        events = sum(len(chunk.values) for chunk in chunks)
        mean = sum(len(value or b"") for chunk in chunks for value in chunk.values) / events
        databases: list[str] = []

        def work(chunks: list[Chunk] = chunks, databases: list[str] = databases, kind: str = size.kind) -> None:
            databases.append(f"bench_{kind}_{len(databases)}")
            dialect = replace(EMBEDDED_DIALECT, database=databases[-1])
            migrate(store, dialect)
            writer = EventWriter(store, dialect, 0)
            writer.open(None)
            for chunk in chunks:
                writer.write(chunk, replay=False)

        yield _row("sink", f"{size.kind}, {mean:.0f} bytes refined", work, events, options)
        yield from _on_disk(store.rows, store.command, databases[-1], size.kind, events)
        for database in databases:
            store.command(f"DROP DATABASE {database}")
    store.close()
    engine.close()


_Rows = Callable[[str], list[tuple[object, ...]]]


def on_disk(rows: _Rows, command: Callable[[str], object], database: str) -> dict[str, int]:
    """Bytes of each table with its indexes, after all parts of it were merged."""
    tables = [str(row[0]) for row in rows(f"SELECT DISTINCT table FROM system.parts WHERE database = '{database}'")]
    for table in tables:
        command(f"OPTIMIZE TABLE {database}.{table} FINAL")
    found = rows(
        "SELECT table, sum(bytes_on_disk) FROM system.parts "
        f"WHERE active AND database = '{database}' AND table != 'schema_migrations' GROUP BY table ORDER BY table"
    )
    return {str(table): int(str(size)) for table, size in found}


def _on_disk(rows: _Rows, command: Callable[[str], object], database: str, kind: Kind, events: int) -> Iterator[Row]:
    sizes = on_disk(rows, command, database)
    goal = "≤ 80" if kind == "compact" else ""
    yield Row("disk", f"table events, {kind}", "bytes/event", (sizes["events"] / events,), goal=goal)
    note = ", ".join(f"{table} {size / events:.1f}" for table, size in sizes.items())
    yield Row("disk", f"all tables, {kind}", "bytes/event", (sum(sizes.values()) / events,), note=note)


def _row(bench: str, case: str, work: Callable[[], None], events: int, options: Options) -> Row:
    rates, costs = [], []
    for _ in range(options.runs):
        used, started = time.process_time(), time.perf_counter()
        work()
        rates.append(events / (time.perf_counter() - started))
        costs.append((time.process_time() - used) * 1e6 / events)
    if options.profile:
        _profile(work, options.profile / f"{bench}-{case.split(',')[0]}.txt")
    baseline = f"baseline/Python loop, {case.split(',')[0]}"
    return Row(bench, case, "events/s", tuple(rates), statistics.median(costs), baseline=baseline)


def _profile(work: Callable[[], None], path: Path) -> None:
    """Write what `work` spends its time on to `path`, by function."""
    profile = cProfile.Profile()
    profile.runcall(work)
    text = io.StringIO()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(40)
    path.write_text(text.getvalue())
