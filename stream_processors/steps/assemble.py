"""Step 3, the whole: columns of `lineage_event` -> columns of `refined_event`, named, enriched, with coordinates."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from proventrail.schemas.columns import arrow_schema
from proventrail.stream_processors.steps.arrays import (
    constant,
    field,
    lengths,
    no_lists,
    offsets_of,
    parents,
    struct_of,
    text,
    without_null_maps,
)
from proventrail.stream_processors.steps.batch import Events, RawBatch
from proventrail.stream_processors.steps.datasets import DatasetNames, RefinedDatasets, all_outputs
from proventrail.stream_processors.steps.governance import governance
from proventrail.stream_processors.steps.jobs import transformations


def _int_column(column: pa.Array, missing: int) -> pa.Array:
    return pc.fill_null(column, missing)


def _column_lineage(columns: pa.RecordBatch, outputs: RefinedDatasets, names: DatasetNames) -> pa.ListArray:
    """Edges with the names of their outputs; input names are normalised like all others."""
    kind = arrow_schema("refined_event").field("column_lineage").type
    lists = columns.column("column_lineage")
    items, counts = lists.flatten(), lengths(lists)
    starts = offsets_of(outputs.counts).to_numpy()[:-1]
    at = pa.array(starts[parents(counts)] + field(items, "output").to_numpy(zero_copy_only=False))
    joined = pc.binary_join_element_wise(field(items, "input_namespace"), field(items, "input_name"), "\n")
    encoded = joined.dictionary_encode()
    found = [names.look_up(value) for value in encoded.dictionary.to_pylist()]
    sources = [pa.array([f[i] for f in found], pa.string()).take(encoded.indices) for i in (0, 1)]
    fields = [
        outputs.namespace.take(at),
        outputs.name.take(at),
        field(items, "output_field"),
        *sources,
        field(items, "input_field"),
        text(field(items, "transformation")),
    ]
    return pa.ListArray.from_arrays(offsets_of(counts), struct_of(kind.value_type, fields), type=kind)


def assemble(raw: RawBatch, events: Events, names: DatasetNames, catalog_version: str) -> pa.RecordBatch:
    """One row per valid event, in the order of `events`. Run ids keep their case: `comparable_run_ids` comes last."""
    c, n = events.columns, len(events.columns)
    target = arrow_schema("refined_event")
    run, job, parent, emitter = (c.column(name) for name in ("run", "job", "parent", "emitter"))
    maps = target.field("run_facets").type
    run_facets = without_null_maps(field(run, "facets"), maps)
    job_facets = without_null_maps(field(job, "facets"), maps)
    inputs = RefinedDatasets(c.column("inputs"), names, "inputs")
    outputs = RefinedDatasets(all_outputs(c), names, "outputs")
    raw_run_id = text(field(run, "id"))
    run_id = pc.utf8_trim_whitespace(raw_run_id)
    received = pa.array(raw.times, pa.int64()).take(events.rows)
    retention_class, regulations = governance(n, [inputs, outputs])
    version, code_location, code_version = transformations(run_facets, job_facets)
    found = {
        "raw_topic_id": constant(raw.topic_id, n),
        "raw_topic": constant(raw.topic, n),
        "raw_partition": pa.repeat(pa.scalar(raw.partition, pa.int32()), n),
        "raw_offset": pa.array(raw.offsets, pa.int64()).take(events.rows),
        "received_at": received.cast(pa.timestamp("ms")),
        "event_id": pc.utf8_lower(c.column("id")),
        "event_time": c.column("time"),
        "event_time_text": text(c.column("time_text")),
        "event_kind": c.column("kind"),
        "event_type": text(c.column("type")),
        "producer": c.column("source"),
        "schema_url": text(c.column("schema_url")),
        "job_namespace": text(field(job, "namespace")),
        "job_name": text(field(job, "name")),
        "run_id": run_id,
        "raw_run_id": pc.if_else(pc.equal(pc.utf8_lower(run_id), raw_run_id), "", raw_run_id),
        **_parent_columns(parent),
        "nominal_start": c.column("nominal_start"),
        "nominal_end": c.column("nominal_end"),
        "processing_type": text(c.column("processing_type")),
        "integration": text(c.column("integration")),
        "job_type": text(c.column("job_type")),
        "inputs": inputs.column(),
        "outputs": outputs.column(),
        "column_lineage": _column_lineage(c, outputs, names),
        "run_facets": run_facets,
        "job_facets": job_facets,
        "run_extra": text(field(run, "extra")),
        "job_extra": text(field(job, "extra")),
        "extra": text(c.column("extra")),
        "emitter_id": text(field(emitter, "id")),
        "emitter_epoch": _int_column(field(emitter, "epoch"), 0),
        "emitter_sequence": _int_column(field(emitter, "sequence"), -1),
        "actor": text(c.column("actor")),
        "transformation_version": version,
        "code_location": code_location,
        "code_version": code_version,
        "retention_class": retention_class,
        "regulations": regulations,
        "lateness_ms": pc.subtract(received, pc.divide(c.column("time").cast(pa.int64()), 1000)),
        "schema_id": events.schema_ids,
        "catalog_version": constant(catalog_version, n),
        "policy_version": constant("", n),
        "privacy": no_lists(n, target.field("privacy").type),
    }
    return pa.RecordBatch.from_arrays([found[name] for name in target.names], schema=target)


def comparable_run_ids(assembled: pa.RecordBatch, anonymised: pa.RecordBatch) -> pa.RecordBatch:
    """`anonymised` with its run ids in lower case, in which they are compared.

    Detection has to see them as they were written, as the form of a secret tells it. What was put in the place of
    personal data stays as it is.
    """
    columns = {name: anonymised[name] for name in anonymised.schema.names}
    for name in ("run_id", "parent_run_id", "root_run_id"):
        kept = pc.equal(assembled[name], columns[name])
        columns[name] = pc.if_else(kept, pc.utf8_lower(columns[name]), columns[name])
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=anonymised.schema)


def _parent_columns(parent: pa.StructArray) -> dict[str, pa.Array]:
    ids = ("run_id", "root_run_id")
    found: dict[str, pa.Array] = {}
    for name in ("job_namespace", "job_name", "run_id", "root_job_namespace", "root_job_name", "root_run_id"):
        column = text(field(parent, name))
        target = name if name.startswith("root") else f"parent_{name}"
        found[target] = pc.utf8_trim_whitespace(column) if name in ids else column
    return found
