"""How derived tables follow from `events`: the SELECTs behind the materialised views, and the linking of edges.

Each SELECT is *idempotent*: its target merges by min, max or or, so it may be run again over rows it has seen. The
views run them on each insert; `rederive` runs them over a range of coordinates, which mends what a crash between the
insert and its views left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proventrail.storage.dialect import Dialect
from proventrail.storage.store import Store


@dataclass(frozen=True)
class CoordinateRange:
    """Raw offsets `first` to `last`, both included, of one partition of one raw topic."""

    raw_topic_id: str
    raw_partition: int
    first: int
    last: int

    def condition(self) -> str:
        """The range as an SQL condition over `events`. The topic id is checked to be a UUID by the sink."""
        return (
            f"raw_topic_id = '{self.raw_topic_id}' AND raw_partition = {self.raw_partition}"
            f" AND raw_offset BETWEEN {self.first} AND {self.last}"
        )


@dataclass(frozen=True)
class Feed:
    """One derived table: `select(source)` gives its rows from `source`, a table or a subquery of `events`."""

    target: str
    select: Callable[[str], str]

    @property
    def view(self) -> str:
        return f"{self.target}_feed"


# Later time wins; at the same time FAIL over ABORT over COMPLETE. Two bits of rank below the microseconds.
_TERMINAL = (
    "toUInt64(toUnixTimestamp64Micro(event_time)) * 4"
    " + transform(toString(event_type), ['COMPLETE', 'ABORT', 'FAIL'], [1, 2, 3], 0)"
)

COLUMN_EDGE = "output_namespace, output_name, output_field, input_namespace, input_name, input_field, transformation"


def _run_states(source: str) -> str:
    return f"""SELECT job_namespace, job_name, run_id,
    minIf(toNullable(event_time), event_type = 'START') AS started_at,
    min(toNullable(event_time)) AS first_event_at, max(toNullable(event_time)) AS last_event_at,
    max(if(event_type IN ('COMPLETE', 'ABORT', 'FAIL'), {_TERMINAL}, 0)) AS terminal,
    max(toUInt8(event_type IN ('START', 'RUNNING'))) AS underway,
    max(tuple(parent_job_namespace, parent_job_name, parent_run_id)) AS parent,
    max(tuple(root_job_namespace, root_job_name, root_run_id)) AS root,
    min(nominal_start) AS nominal_start, max(nominal_end) AS nominal_end,
    max(processing_type) AS processing_type, max(integration) AS integration, max(job_type) AS job_type,
    max(transformation_version) AS transformation_version, max(code_version) AS code_version
FROM {source}
WHERE event_kind = 'RUN'
GROUP BY job_namespace, job_name, run_id"""


def _run_datasets(source: str) -> str:
    return f"""SELECT job_namespace, job_name, run_id, direction, namespace, name, version,
    max(fingerprint) AS schema_fingerprint, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM {source}
ARRAY JOIN
    arrayConcat(arrayResize(emptyArrayUInt8(), length(`inputs.name`), 1),
                arrayResize(emptyArrayUInt8(), length(`outputs.name`), 2)) AS direction,
    arrayConcat(`inputs.namespace`, `outputs.namespace`) AS namespace,
    arrayConcat(`inputs.name`, `outputs.name`) AS name,
    arrayConcat(`inputs.version`, `outputs.version`) AS version,
    arrayConcat(`inputs.schema_fingerprint`, `outputs.schema_fingerprint`) AS fingerprint
GROUP BY job_namespace, job_name, run_id, direction, namespace, name, version"""


def _column_edges(source: str) -> str:
    arrays = ", ".join(f"`column_lineage.{name}` AS {name}" for name in COLUMN_EDGE.split(", "))
    key = f"{COLUMN_EDGE}, job_namespace, job_name, run_id"
    return f"""SELECT {key}, min(e.event_time) AS event_time, max(e.event_time) AS last_event_time
FROM {source} AS e
ARRAY JOIN {arrays}
GROUP BY {key}"""


def _job_versions(source: str) -> str:
    return f"""SELECT job_namespace, job_name, transformation_version,
    max(code_location) AS code_location, max(code_version) AS code_version,
    min(event_time) AS first_seen, max(event_time) AS last_seen
FROM {source}
WHERE transformation_version != ''
GROUP BY job_namespace, job_name, transformation_version"""


FEEDS: tuple[Feed, ...] = (
    Feed("run_states", _run_states),
    Feed("run_datasets", _run_datasets),
    Feed("column_edge_states", _column_edges),
    Feed("job_version_states", _job_versions),
)


def _column_names(select: str) -> str:
    """The target columns of a feed, which are the names its SELECT gives them, in order."""
    head = select.split("\nFROM ", 1)[0].removeprefix("SELECT ")
    depth, names, item = 0, [], ""
    for char in head + ",":
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            names.append(item.split(" AS ")[-1].strip())
            item = ""
        else:
            item += char
    return ", ".join(names)


def rederive(store: Store, dialect: Dialect, span: CoordinateRange) -> None:
    """Run every feed again over the events of `span`."""
    source = f"(SELECT * FROM {dialect.name('events')} WHERE {span.condition()})"
    for feed in FEEDS:
        select = feed.select(source)
        store.command(f"INSERT INTO {dialect.name(feed.target)} ({_column_names(select)})\n{select}")


def link_edges(store: Store, dialect: Dialect, span: CoordinateRange) -> None:
    """Write the dataset-to-dataset edges of every run that has an event in `span`.

    An edge joins what the run read with what it wrote over *all* its events so far: inputs often come with START and
    outputs with COMPLETE. Running it again changes nothing. Both sides are gathered in one pass over `run_datasets`;
    a join of two subqueries reads it, and the events of `span`, twice.
    """
    store.command(
        f"""INSERT INTO {dialect.name("lineage_edge_states")}
    (source_namespace, source_name, target_namespace, target_name, job_namespace, job_name, run_id,
     event_time, last_event_time)
SETTINGS optimize_on_insert = 0
SELECT i.1, i.2, o.1, o.2, job_namespace, job_name, run_id, greatest(i.3, o.3), greatest(i.4, o.4)
FROM
(
    SELECT job_namespace, job_name, run_id,
        groupArrayIf((namespace, name, first, last), direction = 'input') AS inputs,
        groupArrayIf((namespace, name, first, last), direction = 'output') AS outputs
    FROM
    (
        SELECT job_namespace, job_name, run_id, direction, namespace, name,
            min(first_seen) AS first, max(last_seen) AS last
        FROM {dialect.name("run_datasets")}
        WHERE (run_id, job_namespace, job_name) IN
            (SELECT run_id, job_namespace, job_name FROM {dialect.name("events")} WHERE {span.condition()})
        GROUP BY job_namespace, job_name, run_id, direction, namespace, name
    )
    GROUP BY job_namespace, job_name, run_id
    HAVING notEmpty(inputs) AND notEmpty(outputs)
)
ARRAY JOIN inputs AS i
ARRAY JOIN outputs AS o"""
    )
