"""Arrow idioms that the steps share: working on distinct strings, and on facets inside maps and lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]


def text(column: pa.Array) -> pa.Array:
    """A string column with nulls as empty strings."""
    return pc.fill_null(column, "") if column.null_count else column


def field(struct: pa.StructArray, name: str) -> pa.Array:
    """A field of a struct column; null where the struct is null."""
    return pc.struct_field(struct, name)


def lengths(lists: pa.ListArray) -> Ints:
    """Number of items of each list; a null list has none."""
    found: Ints = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def offsets_of(counts: Ints) -> pa.Array:
    """Arrow offsets of lists with these numbers of items."""
    return pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())


def no_lists(n: int, kind: pa.ListType) -> pa.ListArray:
    """`n` empty lists."""
    return pa.ListArray.from_arrays(pa.array(np.zeros(n + 1), pa.int32()), pa.array([], kind.value_type), type=kind)


def parents(counts: Ints) -> Ints:
    """For each item of lists with these lengths, the index of its list."""
    return np.repeat(np.arange(len(counts), dtype=np.int64), counts)


def without_null_maps(maps: pa.MapArray, kind: pa.MapType) -> pa.MapArray:
    """A map column with null as an empty map. The items are not copied."""
    if not len(maps):
        return pa.array([], kind)
    offsets = maps.offsets
    first, last = offsets[0].as_py(), offsets[-1].as_py()
    keys, items = maps.keys.slice(first, last - first), maps.items.slice(first, last - first)
    return pa.MapArray.from_arrays(pc.subtract(offsets, first), keys, text(items), type=kind)


def facet_texts(maps: pa.MapArray, name: str) -> tuple[Ints, pa.Array]:
    """Rows whose map has the key `name`, and the JSON texts there (one each, dictionary-encoded)."""
    offsets = maps.offsets.to_numpy()
    if not len(maps) or offsets[-1] == offsets[0]:
        return np.empty(0, np.int64), pa.array([], pa.string()).dictionary_encode()
    keys = maps.keys.slice(offsets[0], offsets[-1] - offsets[0])
    items = maps.items.slice(offsets[0], offsets[-1] - offsets[0])
    hits = np.flatnonzero(pc.equal(keys, name).to_numpy(zero_copy_only=False))
    rows = np.repeat(np.arange(len(maps), dtype=np.int64), np.diff(offsets))[hits]
    return rows, items.take(pa.array(hits)).dictionary_encode()


def scatter(n: int, rows: Ints, values: pa.DictionaryArray, function: Callable[[str], str]) -> pa.Array:
    """A string column of length `n`: `function` of the distinct values at `rows`, empty elsewhere."""
    mapped = pa.array([*map(function, values.dictionary.to_pylist()), ""], pa.string())
    codes = np.full(n, len(mapped) - 1, np.int64)
    codes[rows] = values.indices.to_numpy(zero_copy_only=False)
    return mapped.take(pa.array(codes))


def constant(value: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), n)


def struct_of(kind: pa.StructType, columns: Sequence[pa.Array]) -> pa.StructArray:
    return pa.StructArray.from_arrays(list(columns), fields=list(kind))
