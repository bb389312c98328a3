"""Step 3, events: retention class and regulations that follow from the datasets an event names."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from proventrail.schemas.columns import arrow_schema
from proventrail.stream_processors.catalog import DEFAULT_RETENTION_CLASS, Known
from proventrail.stream_processors.steps.arrays import constant, no_lists, parents
from proventrail.stream_processors.steps.datasets import RefinedDatasets

_Kept = tuple[str, tuple[str, ...]]

# Shortest first. A class that is not named here is the user's own; it counts as longer than operational.
_LENGTH = {"": -1, DEFAULT_RETENTION_CLASS: 0, "hipaa": 2, "sox": 3, "ai-technical-documentation": 4}
_OWN = 1


def _rank(retention_class: str) -> tuple[int, str]:
    return _LENGTH.get(retention_class, _OWN), retention_class


def _join(one: _Kept, other: Known) -> _Kept:
    longest = max(one[0], other.retention_class, key=_rank)
    return longest, tuple(sorted({*one[1], *other.regulations}))


def governance(n: int, sides: list[RefinedDatasets]) -> list[pa.Array]:
    """Columns retention_class and regulations of `n` events: longest class, all regulations of their datasets."""
    kind = arrow_schema("refined_event").field("regulations").type
    kept: list[_Kept] = [(DEFAULT_RETENTION_CLASS, ())]
    seen: dict[_Kept, int] = {kept[0]: 0}
    codes = np.zeros(n, np.int64)
    for side in sides:
        bound = np.array([bool(k.retention_class or k.regulations) for k in side.known], bool)
        if not bound.any():
            continue
        # Only datasets that bring something are looked at one by one.
        hits = np.flatnonzero(bound[side.codes])
        owners = parents(side.counts)
        for at in hits:
            joined = _join(kept[codes[owners[at]]], side.known[side.codes[at]])
            if joined not in seen:
                seen[joined] = len(kept)
                kept.append(joined)
            codes[owners[at]] = seen[joined]
    if len(kept) == 1:
        return [constant(DEFAULT_RETENTION_CLASS, n), no_lists(n, kind)]
    index = pa.array(codes)
    classes = pa.array([retention_class for retention_class, _ in kept], pa.string())
    regulations = pa.array([list(r) for _, r in kept], kind)
    return [classes.take(index), regulations.take(index)]
