"""Step 5: what a batch tells the gap detector, aggregated per bucket of jobs before it is shuffled.

One record of `observation` per bucket that occurs in the batch. Key of the record: the bucket, as decimal text.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from proventrail.schemas.avro import SINGLE_OBJECT, Framing
from proventrail.schemas.columns import arrow_schema, encode_batch
from proventrail.stream_processors.steps.arrays import constant, lengths, offsets_of, parents, struct_of

BUCKETS = 64
"""Jobs are spread over this many buckets; a bucket is the unit in which the detector scales."""

_RUN = ["job_namespace", "job_name", "run_id"]
Ints = npt.NDArray[np.int64]


def bucket_of(job: str) -> int:
    """Bucket of a job, given as `NAMESPACE/NAME`: CRC-32 of its UTF-8, modulo the number of buckets."""
    return zlib.crc32(job.encode("utf-8", "surrogatepass")) % BUCKETS


def observe(refined: pa.RecordBatch, framing: Framing = SINGLE_OBJECT) -> list[tuple[bytes, bytes]]:
    """(key, framed value) of each observation of a batch of refined events of one raw partition."""
    if not len(refined):
        return []
    jobs = pc.binary_join_element_wise(refined["job_namespace"], refined["job_name"], "/").dictionary_encode()
    by_job = np.array([bucket_of(job) for job in jobs.dictionary.to_pylist()], np.int64)
    buckets = by_job[jobs.indices.to_numpy()]
    runs, run_buckets = _runs(refined, buckets)
    emitters, emitter_buckets = _emitters(refined, buckets)
    found = np.unique(buckets)
    table = _totals(refined, buckets, found)
    table["emitters"] = _listed(emitters, emitter_buckets, found, "emitters")
    table["runs"] = _listed(runs, run_buckets, found, "runs")
    table["privacy"] = _listed(*_privacy(refined, buckets), found, "privacy")
    target = arrow_schema("observation")
    batch = pa.RecordBatch.from_arrays([table[name] for name in target.names], schema=target)
    keys = [str(bucket).encode() for bucket in found]
    return list(zip(keys, encode_batch("observation", batch, framing), strict=True))


def _totals(refined: pa.RecordBatch, buckets: Ints, found: Ints) -> dict[str, pa.Array]:
    sums = (
        pa.table(
            {
                "bucket": pa.array(buckets),
                "offset": refined["raw_offset"],
                "time": refined["event_time"],
                "received": refined["received_at"],
                "lateness": refined["lateness_ms"],
            }
        )
        .group_by("bucket")
        .aggregate(
            [
                ("offset", "min"),
                ("offset", "max"),
                ("offset", "count"),
                ("time", "max"),
                ("received", "max"),
                ("lateness", "max"),
            ]
        )
        .sort_by("bucket")
        .combine_chunks()
    )
    n = len(found)

    def column(name: str) -> pa.Array:
        return sums.column(name).chunk(0)

    return {
        "raw_topic_id": constant(refined["raw_topic_id"][0].as_py(), n),
        "raw_partition": pa.repeat(refined["raw_partition"][0], n),
        "first_offset": column("offset_min"),
        "last_offset": column("offset_max"),
        "bucket": pa.array(found, pa.int32()),
        "events": column("offset_count"),
        "event_time_max": column("time_max"),
        "received_max": column("received_max"),
        "lateness_max_ms": column("lateness_max"),
    }


def _listed(rows: pa.StructArray, buckets: Ints, found: Ints, name: str) -> pa.ListArray:
    """Rows that are sorted by bucket, as one list per bucket of `found`."""
    kind = arrow_schema("observation").field(name).type
    counts = np.bincount(np.searchsorted(found, buckets), minlength=len(found)).astype(np.int64)
    return pa.ListArray.from_arrays(offsets_of(counts), rows, type=kind)


def _emitters(refined: pa.RecordBatch, buckets: Ints) -> tuple[pa.StructArray, Ints]:
    kind = arrow_schema("observation").field("emitters").type.value_type
    counted = pc.greater_equal(refined["emitter_sequence"], 0)
    table = pa.table(
        {
            "bucket": pa.array(buckets),
            "id": refined["emitter_id"],
            "epoch": refined["emitter_epoch"],
            "sequence": refined["emitter_sequence"],
        }
    ).filter(counted)
    sums = (
        table.group_by(["bucket", "id", "epoch"])
        .aggregate([("sequence", "min"), ("sequence", "max"), ("sequence", "count")])
        .sort_by([("bucket", "ascending"), ("id", "ascending"), ("epoch", "ascending")])
        .combine_chunks()
    )
    names = ["id", "epoch", "sequence_min", "sequence_max", "sequence_count"]
    columns = [_whole(sums, name) for name in names]
    return struct_of(kind, columns), _whole(sums, "bucket").to_numpy()


def _privacy(refined: pa.RecordBatch, buckets: Ints) -> tuple[pa.StructArray, Ints]:
    kind = arrow_schema("observation").field("privacy").type.value_type
    lists = refined["privacy"]
    items = lists.flatten()
    if not len(items):
        return pa.array([], kind), np.empty(0, np.int64)
    rows = pa.array(parents(lengths(lists)))
    keys = ["bucket", "job_namespace", "job_name", "dataset", "kind", "path"]
    table = pa.table(
        {
            "bucket": pa.array(buckets).take(rows),
            **{name: refined[name].take(rows) for name in ("job_namespace", "job_name")},
            **{name: pc.struct_field(items, name) for name in ("dataset", "kind", "path")},
            "count": pc.struct_field(items, "count").cast(pa.int64()),
        }
    )
    sums = table.group_by(keys).aggregate([("count", "sum")]).sort_by([(k, "ascending") for k in keys]).combine_chunks()
    return struct_of(kind, [_whole(sums, name) for name in [*keys[1:], "count_sum"]]), _whole(sums, "bucket").to_numpy()


def _whole(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _runs(refined: pa.RecordBatch, buckets: Ints) -> tuple[pa.StructArray, Ints]:
    kind = arrow_schema("observation").field("runs").type.value_type
    is_run = pc.not_equal(refined["run_id"], "")
    event_type, time = refined["event_type"], refined["event_time"]
    start = pc.equal(event_type, "START")
    end = pc.is_in(event_type, value_set=pa.array(["COMPLETE", "ABORT", "FAIL"]))
    none = pa.scalar(None, time.type)
    # Of several ends in one batch the alphabetically last one is told: any order gives the same.
    end_state = pc.if_else(end, event_type, "")
    table = pa.table(
        {
            "bucket": pa.array(buckets),
            **{name: refined[name] for name in _RUN},
            **{
                name: refined[name]
                for name in ("parent_run_id", "root_run_id", "processing_type", "integration", "job_type")
            },
            "event": pa.array(np.ones(len(refined), np.int32)),
            "start": start.cast(pa.int32()),
            "terminal": end.cast(pa.int32()),
            "time": time,
            "started": pc.if_else(start, time, none),
            "ended": pc.if_else(end, time, none),
            "end_state": end_state,
            "nominal_end": refined["nominal_end"],
            "transformation_version": refined["transformation_version"],
        }
    ).filter(is_run)
    sums = (
        table.group_by(["bucket", *_RUN])
        .aggregate(
            [
                *(
                    (name, "max")
                    for name in ("parent_run_id", "root_run_id", "processing_type", "integration", "job_type")
                ),
                ("event", "sum"),
                ("start", "sum"),
                ("terminal", "sum"),
                ("time", "min"),
                ("time", "max"),
                ("started", "min"),
                ("ended", "max"),
                ("end_state", "max"),
                ("nominal_end", "max"),
                ("transformation_version", "max"),
            ]
        )
        .sort_by([("bucket", "ascending"), *((name, "ascending") for name in _RUN)])
        .combine_chunks()
    )
    names = [
        *_RUN,
        *(f"{name}_max" for name in ("parent_run_id", "root_run_id", "processing_type", "integration", "job_type")),
        *("event_sum", "start_sum", "terminal_sum"),
        *("time_min", "time_max", "started_min", "ended_max", "end_state_max", "nominal_end_max"),
        "transformation_version_max",
    ]
    columns = [_whole(sums, name) for name in names]
    columns = [c.cast(pa.int32()) if name.endswith("_sum") else c for name, c in zip(names, columns, strict=True)]
    for side in ("inputs", "outputs"):
        columns.append(_datasets_of_runs(refined, sums, side))
    return struct_of(kind, columns), _whole(sums, "bucket").to_numpy()


def _datasets_of_runs(refined: pa.RecordBatch, runs: pa.Table, side: str) -> pa.ListArray:
    """Distinct datasets (`NAMESPACE + newline + NAME`) of each run of `runs`, sorted."""
    key = pc.binary_join_element_wise(*(refined[name] for name in _RUN), "\n")
    index = pc.index_in(key, value_set=pc.binary_join_element_wise(*(_whole(runs, name) for name in _RUN), "\n"))
    lists = refined[side]
    items = lists.flatten()
    owner = pc.fill_null(index, -1).to_numpy(zero_copy_only=False).astype(np.int64)[parents(lengths(lists))]
    names = pc.binary_join_element_wise(
        pc.struct_field(items, "namespace"), pc.struct_field(items, "name"), "\n"
    ).dictionary_encode()
    order = np.argsort(np.array(names.dictionary.to_pylist(), object), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    width = max(1, len(order))
    codes = owner * width + rank[names.indices.to_numpy(zero_copy_only=False)] if len(items) else owner
    distinct = np.unique(codes[owner >= 0])
    values = pa.array([], pa.string())
    if len(distinct):
        values = names.dictionary.take(pa.array(order[distinct % width], pa.int64()))
    counts = np.bincount(distinct // width, minlength=len(runs)).astype(np.int64)
    return pa.ListArray.from_arrays(offsets_of(counts), values)
