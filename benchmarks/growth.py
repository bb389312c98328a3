"""What happens as events grow: insert rate, bytes and the time of typical questions at 10⁵, 10⁶ and 10⁷ events.

Events go into the store through the sink's writer, in chunks as under load. Each chunk is a copy of one of 25,000
compact events with ids, times and coordinates of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.report import Options, Row
from benchmarks.stages import TOPIC_ID, refined_chunks
from benchmarks.workloads import make
from proventrail.schemas.columns import decode_batch, encode_batch
from proventrail.storage.engine import EMBEDDED_DIALECT, Engine
from proventrail.storage.lineage import Lineage
from proventrail.storage.migrations import migrate
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.sink.writer import Chunk
from proventrail.storage.store import ClientStore

_CHUNK = 25_000
_TIMES = 5


def run(options: Options) -> Iterator[Row]:
    """Rows for each size; sizes are reached one after the other in one store."""
    sizes = (
        [options.events] if options.events is not None else [10**5, 10**6] if options.quick else [10**5, 10**6, 10**7]
    )
    engine = Engine(options.scratch / "growth-store")
    store = engine.store()
    migrate(store, EMBEDDED_DIALECT)
    writer = EventWriter(store, EMBEDDED_DIALECT, 0)
    writer.open(None)
    [template] = refined_chunks(make("compact", min(_CHUNK, sizes[0])), _CHUNK)
    batch, _ = decode_batch("refined_event", template.values)
    at = 0
    for size in sizes:
        chunks = range(at, size // len(batch))
        wall = used = 0.0
        for n in chunks:
            # Making the chunk is not measured.
            chunk = _copy(batch, n)
            started, before = time.perf_counter(), time.process_time()
            writer.write(chunk, replay=False)
            wall += time.perf_counter() - started
            used += time.process_time() - before
        inserted, at = len(chunks) * len(batch), size // len(batch)
        yield Row("growth", f"{size:.0e} insert", "events/s", (inserted / wall,), used * 1e6 / inserted)
        yield from _questions(store, size, batch)
        [(parts, on_disk)] = store.rows(
            "SELECT count(), sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'proventrail'"
        )
        note = f"{parts} parts, merged as far as the background has come"
        yield Row("growth", f"{size:.0e} all tables", "bytes/event", (on_disk / (at * len(batch)),), note=note)
    store.close()
    engine.close()


def _renamed(ids: pa.Array, n: int) -> pa.Array:
    """UUIDs with their first eight digits replaced: ids of chunk `n`, in the order of time."""
    return pc.binary_join_element_wise(f"{n:08x}", pc.utf8_slice_codeunits(ids, 8), "")


def _copy(batch: pa.RecordBatch, n: int) -> Chunk:
    """Chunk `n`: the events of `batch` as others that came after those of chunk n - 1."""
    size = len(batch)
    first = n * size
    changed = {
        "raw_offset": pa.array(range(first, first + size), pa.int64()),
        "event_id": _renamed(batch["event_id"], n),
        "run_id": _renamed(batch["run_id"], n),
        "event_time": pc.add(batch["event_time"], pa.scalar(n * 250_000_000, pa.duration("us"))),
        "received_at": pc.add(batch["received_at"], pa.scalar(n * 250_000, pa.duration("ms"))),
    }
    columns = [changed.get(name, batch.column(name)) for name in batch.schema.names]
    copy = pa.RecordBatch.from_arrays(columns, schema=batch.schema)
    values = encode_batch("refined_event", copy)
    offsets = list(range(first, first + size))
    return Chunk("lineage.refined", TOPIC_ID, 0, first, first + size, offsets, [None] * size, list(values), [0] * size)


def _questions(store: ClientStore, size: int, batch: pa.RecordBatch) -> Iterator[Row]:
    job = {"namespace": batch["job_namespace"][0].as_py(), "name": batch["job_name"][0].as_py()}
    run_id = _renamed(batch["run_id"], 0)[0].as_py()
    lineage = Lineage(store)
    dataset = batch["outputs"].flatten()[0].as_py()
    of_job = "job_namespace = {namespace:String} AND job_name = {name:String}"
    asked: dict[str, Callable[[], object]] = {
        "states of a job's runs": lambda: store.rows(
            f"SELECT state, count() FROM proventrail.runs WHERE {of_job} GROUP BY state", job
        ),
        "last 100 events of a job": lambda: store.rows(
            f"SELECT event_time, event_type, run_id FROM proventrail.events WHERE {of_job} "
            "ORDER BY event_time DESC LIMIT 100",
            job,
        ),
        "events of one run": lambda: store.rows(
            "SELECT event_time, event_type FROM proventrail.events WHERE run_id = {run:String}", {"run": run_id}
        ),
        "all events by job": lambda: store.rows(
            "SELECT job_namespace, job_name, event_type, count() FROM proventrail.events GROUP BY ALL"
        ),
        "lineage upstream, 5 levels": lambda: lineage.walk(dataset["namespace"], dataset["name"], "upstream", 5),
    }
    for name, ask in asked.items():
        ask()
        took = []
        for _ in range(_TIMES):
            started = time.perf_counter()
            ask()
            took.append(time.perf_counter() - started)
        yield Row("growth", f"{size:.0e} {name}", "ms", (statistics.median(took) * 1e3,))
