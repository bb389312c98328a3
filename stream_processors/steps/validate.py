"""Step 2: what a decoded event must have to become a row. Refusals name the path and the rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from proventrail.stream_processors.steps.arrays import field, lengths, parents
from proventrail.stream_processors.steps.batch import Events, Rejected

Mask = npt.NDArray[np.bool_]

_UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_FIRST, _LAST = 0, 7_258_118_400_000_000  # 1970 and 2200 in microseconds: ClickHouse's DateTime64(6) holds them


def _true(condition: pa.Array) -> Mask:
    found: Mask = pc.fill_null(condition, False).to_numpy(zero_copy_only=False)
    return found


def _filled(column: pa.Array) -> Mask:
    """Rows whose string is there and not empty."""
    return _true(pc.greater(pc.binary_length(column), 0))


def _datasets_named(lists: pa.ListArray) -> Mask:
    """Rows whose datasets all have a namespace and a name."""
    good = np.ones(len(lists), bool)
    items = lists.flatten()
    if len(items):
        bad = ~(_filled(field(items, "namespace")) & _filled(field(items, "name")))
        good[parents(lengths(lists))[bad]] = False
    return good


def _edges_fit(edges: pa.ListArray, outputs: npt.NDArray[np.int64]) -> Mask:
    good = np.ones(len(edges), bool)
    items = edges.flatten()
    if len(items):
        owner = parents(lengths(edges))
        output = field(items, "output").to_numpy(zero_copy_only=False)
        good[owner[(output < 0) | (output >= outputs[owner])]] = False
    return good


def validate(events: Events) -> Events:
    """The events that keep every rule; the others join `rejected` with the first rule that they break."""
    columns = events.columns
    if not len(columns):
        return events
    kind = columns.column("kind")
    is_run, is_dataset = _true(pc.equal(kind, "RUN")), _true(pc.equal(kind, "DATASET"))
    time = columns.column("time").cast(pa.int64())
    job, run, dataset = columns.column("job"), columns.column("run"), columns.column("dataset")
    outputs = np.where(is_dataset, 1, lengths(columns.column("outputs")))
    rules: list[tuple[str, str, Mask]] = [
        ("id", "must be a UUID", _true(pc.match_substring_regex(columns.column("id"), _UUID))),
        (
            "time",
            "must lie between the years 1970 and 2200",
            _true(pc.and_(pc.greater_equal(time, _FIRST), pc.less(time, _LAST))),
        ),
        ("run.id", "a run event needs a run with an id", ~is_run | _filled(field(run, "id"))),
        ("job.namespace", "must not be empty", is_dataset | _filled(field(job, "namespace"))),
        ("job.name", "must not be empty", is_dataset | _filled(field(job, "name"))),
        (
            "dataset",
            "a dataset event needs a dataset with namespace and name",
            ~is_dataset | (_filled(field(dataset, "namespace")) & _filled(field(dataset, "name"))),
        ),
        ("inputs", "each dataset needs a namespace and a name", _datasets_named(columns.column("inputs"))),
        ("outputs", "each dataset needs a namespace and a name", _datasets_named(columns.column("outputs"))),
        (
            "column_lineage.output",
            "must be an index into outputs",
            _edges_fit(columns.column("column_lineage"), outputs),
        ),
    ]
    return _apply(events, rules)


def _apply(events: Events, rules: list[tuple[str, str, Mask]]) -> Events:
    good = np.logical_and.reduce([mask for _, _, mask in rules])
    if good.all():
        return events
    rows = events.rows.to_numpy()
    refused = []
    for index in np.flatnonzero(~good):
        path, reason = next((path, reason) for path, reason, mask in rules if not mask[index])
        refused.append(Rejected(int(rows[index]), "invalid", "validate", path, reason))
    keep = pa.array(good)
    return Events(
        events.columns.filter(keep),
        events.rows.filter(keep),
        events.schema_ids.filter(keep),
        [*events.rejected, *refused],
    )
