"""Migration 1: events, dead letters, runs, lineage edges, versions, catalogue.

`events` and `dead_letters` are written by the sink, exactly once. Everything else is derived and *idempotent*: each
derived table merges by set functions (min, max, or), so any order and any number of repetitions give the same answer.
"""

from __future__ import annotations

from proventrail.storage.derive import COLUMN_EDGE, FEEDS
from proventrail.storage.dialect import Dialect

_LC = "LowCardinality(String)"
_TIME = "DateTime64(6, 'UTC')"
_FACETS = f"Map({_LC}, String)"
_MIN_TIME = f"SimpleAggregateFunction(min, Nullable({_TIME}))"
_MAX_TIME = f"SimpleAggregateFunction(max, Nullable({_TIME}))"
_MAX_STRING = "SimpleAggregateFunction(max, String)"
_MAX_LC = f"SimpleAggregateFunction(max, {_LC})"

# A replay must find the tokens of the inserts it repeats, in the table and behind its views.
_DEDUPLICATION = "non_replicated_deduplication_window = 10000"

_COORDINATES = f"""
    raw_topic_id UUID CODEC(ZSTD(1)),
    raw_topic {_LC},
    raw_partition UInt16 CODEC(ZSTD(1)),
    raw_offset UInt64 CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),"""


def _datasets(side: str) -> str:
    fields = {
        "namespace": _LC,
        "name": _LC,
        "raw_namespace": _LC,
        "raw_name": _LC,
        "version": "String",
        "schema_fingerprint": _LC,
        "kind": _LC,
        "owner": _LC,
        "classification": _LC,
        "facets": _FACETS,
        "io_facets": _FACETS,
        "extra": "String",
    }
    return "\n".join(f"    `{side}.{name}` Array({kind}) CODEC(ZSTD(1))," for name, kind in fields.items())


def _column_lineage() -> str:
    names = ("output_namespace", "output_name", "output_field", "input_namespace", "input_name", "input_field")
    return "\n".join(f"    `column_lineage.{name}` Array({_LC}) CODEC(ZSTD(1))," for name in (*names, "transformation"))


EVENTS_COLUMNS = f"""{_COORDINATES}
    event_id UUID CODEC(ZSTD(1)),
    event_time {_TIME} CODEC(Delta, ZSTD(1)),
    event_time_text String CODEC(ZSTD(1)),
    event_kind Enum8('RUN' = 1, 'JOB' = 2, 'DATASET' = 3),
    event_type {_LC},
    producer {_LC},
    schema_url {_LC},
    job_namespace {_LC},
    job_name {_LC},
    run_id String CODEC(ZSTD(1)),
    raw_run_id String CODEC(ZSTD(1)),
    parent_job_namespace {_LC},
    parent_job_name {_LC},
    parent_run_id String CODEC(ZSTD(1)),
    root_job_namespace {_LC},
    root_job_name {_LC},
    root_run_id String CODEC(ZSTD(1)),
    nominal_start Nullable({_TIME}) CODEC(ZSTD(1)),
    nominal_end Nullable({_TIME}) CODEC(ZSTD(1)),
    processing_type {_LC},
    integration {_LC},
    job_type {_LC},
{_datasets("inputs")}
{_datasets("outputs")}
{_column_lineage()}
    run_facets {_FACETS} CODEC(ZSTD(3)),
    job_facets {_FACETS} CODEC(ZSTD(3)),
    run_extra String CODEC(ZSTD(3)),
    job_extra String CODEC(ZSTD(3)),
    extra String CODEC(ZSTD(3)),
    emitter_id {_LC},
    emitter_epoch Int64 CODEC(Delta, ZSTD(1)),
    emitter_sequence Int64 CODEC(Delta, ZSTD(1)),
    actor {_LC},
    transformation_version {_LC},
    code_location {_LC},
    code_version {_LC},
    retention_class {_LC},
    regulations Array({_LC}) CODEC(ZSTD(1)),
    lateness_ms Int64 CODEC(ZSTD(1)),
    schema_id {_LC},
    catalog_version {_LC},
    INDEX raw_offset_range raw_offset TYPE minmax GRANULARITY 1,
    INDEX event_time_range event_time TYPE minmax GRANULARITY 1,
    INDEX event_id_filter event_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX run_id_filter run_id TYPE bloom_filter(0.01) GRANULARITY 4
"""


def _feed(d: Dialect, target: str) -> str:
    feed = next(feed for feed in FEEDS if feed.target == target)
    return d.create_materialized_view(feed.view, target, feed.select(d.local("events")))


_RUN_KEY = f"job_namespace {_LC}, job_name {_LC}, run_id String CODEC(ZSTD(1))"


def _events(d: Dialect) -> list[str]:
    by_class_and_month = "(retention_class, toYYYYMM(received_at))"
    return [
        *d.create_table(
            "events",
            EVENTS_COLUMNS,
            "(job_namespace, job_name, event_time)",
            partition_by=by_class_and_month,
            settings=_DEDUPLICATION,
        ),
        *d.create_table(
            "dead_letters",
            f"""{_COORDINATES}
    reason {_LC}, stage {_LC}, path String, message String, key String CODEC(ZSTD(3)), value String CODEC(ZSTD(3))""",
            "(raw_topic_id, raw_partition, raw_offset)",
            partition_by="toYYYYMM(received_at)",
            settings=_DEDUPLICATION,
            sharding_key="raw_partition",
        ),
        *d.create_table(
            "duplicate_deliveries",
            f"""{_COORDINATES}
    event_id UUID, first_offset UInt64 CODEC(Delta, ZSTD(1))""",
            "(raw_topic_id, raw_partition, raw_offset)",
            partition_by="toYYYYMM(received_at)",
            settings=_DEDUPLICATION,
            sharding_key="raw_partition",
        ),
    ]


def _runs(d: Dialect) -> list[str]:
    parent = "SimpleAggregateFunction(max, Tuple(namespace String, name String, run_id String))"
    return [
        *d.create_table(
            "run_states",
            f"""{_RUN_KEY},
    started_at {_MIN_TIME}, first_event_at {_MIN_TIME}, last_event_at {_MAX_TIME},
    terminal SimpleAggregateFunction(max, UInt64) CODEC(ZSTD(1)),
    underway SimpleAggregateFunction(max, UInt8),
    parent {parent}, root {parent},
    nominal_start {_MIN_TIME}, nominal_end {_MAX_TIME},
    processing_type {_MAX_LC}, integration {_MAX_LC}, job_type {_MAX_LC},
    transformation_version {_MAX_LC}, code_version {_MAX_LC}""",
            "(job_namespace, job_name, run_id)",
            engine="AggregatingMergeTree",
            settings=_DEDUPLICATION,
        ),
        _feed(d, "run_states"),
        d.create_view(
            "runs",
            f"""SELECT job_namespace, job_name, run_id,
    multiIf(terminal % 4 = 1, 'COMPLETE', terminal % 4 = 2, 'ABORT', terminal % 4 = 3, 'FAIL',
            underway = 1, 'RUNNING', 'UNKNOWN') AS state,
    started_at,
    if(terminal = 0, NULL, fromUnixTimestamp64Micro(toInt64(intDiv(terminal, 4)), 'UTC')) AS ended_at,
    first_event_at, last_event_at,
    parent.1 AS parent_job_namespace, parent.2 AS parent_job_name, parent.3 AS parent_run_id,
    root.1 AS root_job_namespace, root.2 AS root_job_name, root.3 AS root_run_id,
    nominal_start, nominal_end, processing_type, integration, job_type, transformation_version, code_version
FROM {d.name("run_states")} FINAL""",
        ),
    ]


def _run_datasets(d: Dialect) -> list[str]:
    """What each run read and wrote, over all its events: OpenLineage runs are accumulative.

    A JobEvent counts as a run without an id, so that design-time lineage has edges too.
    """
    return [
        *d.create_table(
            "run_datasets",
            f"""{_RUN_KEY}, direction Enum8('input' = 1, 'output' = 2), namespace {_LC}, name {_LC},
    version String CODEC(ZSTD(1)), schema_fingerprint {_MAX_LC},
    first_seen SimpleAggregateFunction(min, {_TIME}), last_seen SimpleAggregateFunction(max, {_TIME})""",
            "(run_id, job_namespace, job_name, direction, namespace, name, version)",
            engine="AggregatingMergeTree",
            settings=_DEDUPLICATION,
        ),
        _feed(d, "run_datasets"),
        d.create_view(
            "dataset_versions",
            f"""SELECT namespace, name,
    arrayJoin(if(empty(explicit),
                 [if(run_id != '', concat('run:', run_id), concat('schema:', schema_fingerprint))],
                 explicit)) AS version,
    schema_fingerprint, job_namespace, job_name, run_id, first_seen, last_seen
FROM
(
    SELECT namespace, name, job_namespace, job_name, run_id,
        arrayFilter(v -> v != '', groupUniqArray(version)) AS explicit,
        max(run_datasets.schema_fingerprint) AS schema_fingerprint,
        min(run_datasets.first_seen) AS first_seen, max(run_datasets.last_seen) AS last_seen
    FROM {d.name("run_datasets")} AS run_datasets
    WHERE direction = 'output'
    GROUP BY namespace, name, job_namespace, job_name, run_id
)""",
        ),
    ]


_EDGE = "source_namespace, source_name, target_namespace, target_name, job_namespace, job_name, run_id"
_EDGE_BACKWARDS = "target_namespace, target_name, source_namespace, source_name, job_namespace, job_name, run_id"


def _lineage_edges(d: Dialect) -> list[str]:
    times = f"""event_time SimpleAggregateFunction(min, {_TIME}) CODEC(Delta, ZSTD(1)),
    last_event_time SimpleAggregateFunction(max, {_TIME}) CODEC(Delta, ZSTD(1))"""
    columns = f"""source_namespace {_LC}, source_name {_LC}, target_namespace {_LC}, target_name {_LC},
    {_RUN_KEY},
    {times}"""
    graph = f"""source_namespace {_LC}, source_name {_LC}, target_namespace {_LC}, target_name {_LC},
    job_namespace {_LC}, job_name {_LC},
    {times}"""
    job_edge = _EDGE.removesuffix(", run_id")
    statements: list[str] = []
    for table, order in (("lineage_edge_states", _EDGE), ("lineage_edge_states_by_target", _EDGE_BACKWARDS)):
        statements += d.create_table(table, columns, f"({order})", engine="AggregatingMergeTree")
    for table, order in (("job_edges", _EDGE), ("job_edges_by_target", _EDGE_BACKWARDS)):
        order_by = f"({order.removesuffix(', run_id')})"
        statements += d.create_table(table, graph, order_by, engine="AggregatingMergeTree")
    by_target = "lineage_edge_states_by_target"
    statements.append(
        d.create_materialized_view(f"{by_target}_feed", by_target, f"SELECT * FROM {d.local('lineage_edge_states')}")
    )
    for table in ("job_edges", "job_edges_by_target"):
        statements.append(
            d.create_materialized_view(
                f"{table}_feed",
                table,
                f"""SELECT {job_edge}, min(event_time) AS event_time, max(last_event_time) AS last_event_time
FROM {d.local("lineage_edge_states")} GROUP BY {job_edge}""",
            )
        )
    statements += [
        d.create_view(view, f"SELECT {_EDGE}, event_time, last_event_time FROM {d.name(table)} FINAL")
        for view, table in (
            ("lineage_edges", "lineage_edge_states"),
            ("lineage_edges_by_target", "lineage_edge_states_by_target"),
        )
    ]
    return statements


def _column_edges(d: Dialect) -> list[str]:
    fields = ", ".join(f"{name} {_LC}" for name in COLUMN_EDGE.split(", "))
    key = f"{COLUMN_EDGE}, job_namespace, job_name, run_id"
    return [
        *d.create_table(
            "column_edge_states",
            f"""{fields}, {_RUN_KEY}, event_time SimpleAggregateFunction(min, {_TIME}),
    last_event_time SimpleAggregateFunction(max, {_TIME})""",
            f"({key})",
            engine="AggregatingMergeTree",
            settings=_DEDUPLICATION,
        ),
        _feed(d, "column_edge_states"),
        d.create_view("column_edges", f"SELECT * FROM {d.name('column_edge_states')} FINAL"),
    ]


def _job_versions(d: Dialect) -> list[str]:
    seen = f"first_seen SimpleAggregateFunction(min, {_TIME}), last_seen SimpleAggregateFunction(max, {_TIME})"
    return [
        *d.create_table(
            "job_version_states",
            f"""job_namespace {_LC}, job_name {_LC}, transformation_version {_LC}, code_location {_MAX_LC},
    code_version {_MAX_LC}, {seen}""",
            "(job_namespace, job_name, transformation_version)",
            engine="AggregatingMergeTree",
            settings=_DEDUPLICATION,
        ),
        _feed(d, "job_version_states"),
        d.create_view(
            "job_versions",
            f"""SELECT job_namespace, job_name, transformation_version AS version, code_location, code_version,
    first_seen, last_seen
FROM {d.name("job_version_states")} FINAL""",
        ),
    ]


def _catalog(d: Dialect) -> list[str]:
    strings = ["kind", "description", "owner", "steward", "classification", "retention_class", "licence", "cadence"]
    columns = ", ".join(f"{name} String" for name in strings)
    return [
        *d.create_table(
            "catalog_states",
            f"""namespace String, name String, {columns}, regulations Array(String), tags Map(String, String),
    deleted UInt8, revision UInt64""",
            "(namespace, name)",
            engine="ReplacingMergeTree(revision)",
            sharding_key="cityHash64(namespace)",
        ),
        d.create_view(
            "catalog",
            f"SELECT * EXCEPT (deleted, revision) FROM {d.name('catalog_states')} FINAL WHERE NOT deleted",
        ),
    ]


def spine(dialect: Dialect) -> list[str]:
    """The statements of migration 1 for `dialect`, in order."""
    parts = (_events, _runs, _run_datasets, _lineage_edges, _column_edges, _job_versions, _catalog)
    return [statement for part in parts for statement in part(dialect)]
