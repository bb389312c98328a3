"""The column `privacy`: per event what was found, where, and what was done. By arrays, not row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from proventrail.privacy.draft import Finding
from proventrail.schemas.columns import arrow_schema
from proventrail.stream_processors.steps.arrays import Ints, no_lists, offsets_of, struct_of
from proventrail.stream_processors.steps.drafts import Drafted

_FIELDS = ("path", "kind", "action")


class _Numbered:
    """Distinct findings and their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Finding, int] = {}

    def __getitem__(self, finding: Finding) -> int:
        return self._numbers.setdefault(finding, len(self._numbers))

    def sorted(self) -> tuple[list[Finding], Ints]:
        """Findings in order, and the place in it of each number."""
        order = sorted(self._numbers)
        rank = np.empty(len(order), np.int64)
        rank[[self._numbers[finding] for finding in order]] = np.arange(len(order))
        return order, rank


def _expanded(drafted: Drafted, numbered: _Numbered) -> tuple[Ints, Ints, Ints]:
    """Of every finding in a column: its element, its number, and how often it was found there."""
    numbers: list[int] = []
    times: list[int] = []
    counts = np.zeros(len(drafted.texts), np.int64)
    for code, draft in enumerate(drafted.drafts):
        if draft is not None:
            counts[code] = len(draft.findings)
            numbers += [numbered[finding] for finding in draft.findings]
            times += draft.findings.values()
    starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    elements = np.flatnonzero(counts[drafted.codes])
    each = counts[drafted.codes[elements]]
    first = np.concatenate([[0], np.cumsum(each)])[:-1]
    at = np.arange(int(each.sum())) - np.repeat(first, each) + np.repeat(starts[drafted.codes[elements]], each)
    return np.repeat(elements, each), np.array(numbers, np.int64)[at], np.array(times, np.int64)[at]


def privacy_column(n: int, columns: Sequence[Drafted], labels: dict[str, pa.Array]) -> pa.ListArray:
    """Of `n` events. `labels`: by side the name of each dataset (namespace, newline, name), anonymised."""
    kind = arrow_schema("refined_event").field("privacy").type
    columns = [column for column in columns if column.changes]
    if not columns:
        return no_lists(n, kind)
    numbered = _Numbered()
    names, ranks = _labels(labels)
    rows, numbers, times, datasets = [], [], [], []
    for column in columns:
        elements, found, count = _expanded(column, numbered)
        rows.append(column.rows_of(elements))
        numbers.append(found)
        times.append(count)
        of_none = np.zeros(len(elements), np.int64)
        datasets.append(of_none if column.items is None else ranks[column.side][column.items[elements]])
    findings, rank = numbered.sorted()
    row, number = np.concatenate(rows), rank[np.concatenate(numbers)]
    dataset, count = np.concatenate(datasets), np.concatenate(times)
    key = (row * len(findings) + number) * len(names) + dataset
    distinct, inverse = np.unique(key, return_inverse=True)
    totals = np.bincount(inverse, weights=count, minlength=len(distinct)).astype(np.int32)
    which = pa.array(distinct // len(names) % len(findings))
    values = [pa.array([getattr(f, name) for f in findings], pa.string()).take(which) for name in _FIELDS]
    values += [pa.array(names, pa.string()).take(pa.array(distinct % len(names))), pa.array(totals, pa.int32())]
    per_row = np.bincount(distinct // len(names) // len(findings), minlength=n).astype(np.int64)
    return pa.ListArray.from_arrays(offsets_of(per_row), struct_of(kind.value_type, values), type=kind)


def _labels(labels: dict[str, pa.Array]) -> tuple[list[str], dict[str, Ints]]:
    """Distinct names in order, the empty one first, and by side the place of each dataset's name among them."""
    encoded = {side: column.dictionary_encode() for side, column in labels.items()}
    names = sorted({"", *(name for column in encoded.values() for name in column.dictionary.to_pylist())})
    place = {name: i for i, name in enumerate(names)}
    ranks = {}
    for side, column in encoded.items():
        by_code = np.array([place[name] for name in column.dictionary.to_pylist()], np.int64)
        ranks[side] = by_code[column.indices.to_numpy(zero_copy_only=False)] if len(column) else np.empty(0, np.int64)
    return names, ranks
