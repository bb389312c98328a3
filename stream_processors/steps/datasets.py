"""Step 3, datasets: normalised names, schema fingerprints, and what the catalogue knows. On distinct strings only."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proventrail.schemas.columns import arrow_schema
from proventrail.schemas.naming import normalise_dataset
from proventrail.stream_processors.catalog import Catalog, Known
from proventrail.stream_processors.steps.arrays import (
    Ints,
    facet_texts,
    field,
    lengths,
    offsets_of,
    scatter,
    struct_of,
    text,
    without_null_maps,
)

_SEPARATOR = "\n"


def schema_fingerprint(facet: str) -> str:
    """First 16 hex digits of the SHA-256 of a schema facet's field names and types, nested ones included.

    Empty for a facet without fields. Descriptions do not count: they change without the schema changing.
    """
    try:
        fields = json.loads(facet).get("fields")
    except (ValueError, AttributeError):
        return ""
    shape = _shape(fields)
    return hashlib.sha256(json.dumps(shape).encode("utf-8", "surrogatepass")).hexdigest()[:16] if shape else ""


def _shape(fields: Any) -> list[Any]:
    if not isinstance(fields, list):
        return []
    found = [f for f in fields if isinstance(f, dict)]
    return [[f.get("name"), f.get("type"), *([_shape(f["fields"])] if f.get("fields") else [])] for f in found]


class DatasetNames:
    """Normalised names of datasets with what the catalogue knows of each, remembered for distinct names (bounded)."""

    _MAX_NAMES = 200_000

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._version = catalog.version
        self._memo: dict[str, tuple[str, str, Known]] = {}

    def look_up(self, joined: str) -> tuple[str, str, Known]:
        """`NAMESPACE + newline + NAME` as written -> normalised namespace, name, catalogue knowledge."""
        if self._version != self._catalog.version or len(self._memo) > self._MAX_NAMES:
            self._memo, self._version = {}, self._catalog.version
        found = self._memo.get(joined)
        if found is None:
            namespace, name = normalise_dataset(*joined.split(_SEPARATOR, 1))
            found = self._memo[joined] = (namespace, name, self._catalog.find(namespace, name))
        return found


def all_outputs(columns: pa.RecordBatch) -> pa.ListArray:
    """The outputs of each event; of a DatasetEvent its dataset, so that one column tells what an event is about."""
    outputs, dataset = columns.column("outputs"), columns.column("dataset")
    if dataset.null_count == len(dataset):
        return outputs
    lone = pc.is_valid(dataset).to_numpy(zero_copy_only=False)
    counts = np.where(lone, 1, lengths(outputs))
    items = outputs.flatten()
    pool = pa.concat_arrays([items, dataset.drop_null().cast(items.type)])
    take = np.empty(int(counts.sum()), np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    is_lone = np.zeros(len(take), bool)
    is_lone[starts[lone]] = True
    take[is_lone] = len(items) + np.arange(int(lone.sum()))
    take[~is_lone] = np.flatnonzero(np.repeat(~lone, lengths(outputs)))
    return pa.ListArray.from_arrays(offsets_of(counts), pool.take(pa.array(take)))


class RefinedDatasets:
    """The datasets of one side of a batch: flat columns, and per event its number of them."""

    def __init__(self, lists: pa.ListArray, names: DatasetNames, side: str) -> None:
        self._side = side
        self._items = lists.flatten()
        self.counts: Ints = lengths(lists)
        joined = pc.binary_join_element_wise(
            field(self._items, "namespace"), field(self._items, "name"), _SEPARATOR
        ).dictionary_encode()
        self._distinct = [names.look_up(value) for value in joined.dictionary.to_pylist()]
        self._codes = joined.indices
        self.namespace = self._taken([namespace for namespace, _, _ in self._distinct])
        self.name = self._taken([name for _, name, _ in self._distinct])

    @property
    def codes(self) -> Ints:
        """For each dataset the position of its distinct name."""
        found: Ints = self._codes.to_numpy(zero_copy_only=False).astype(np.int64)
        return found

    @property
    def known(self) -> list[Known]:
        """What the catalogue knows, by distinct name."""
        return [known for _, _, known in self._distinct]

    def _taken(self, values: list[str]) -> pa.Array:
        return pa.array(values, pa.string()).take(self._codes)

    def _raw(self, name: str, normalised: pa.Array) -> pa.Array:
        raw = field(self._items, name)
        return pc.if_else(pc.equal(raw, normalised), "", raw)

    def column(self) -> pa.ListArray:
        """The column `inputs` or `outputs` of refined events."""
        kind = arrow_schema("refined_event").field(self._side).type
        items = self._items
        facets = without_null_maps(field(items, "facets"), kind.value_type.field("facets").type)
        columns = [
            self.namespace,
            self.name,
            self._raw("namespace", self.namespace),
            self._raw("name", self.name),
            text(field(items, "version")),
            scatter(len(items), *facet_texts(facets, "schema"), schema_fingerprint),
            self._taken([known.kind for known in self.known]),
            self._taken([known.owner for known in self.known]),
            self._taken([known.classification for known in self.known]),
            facets,
            without_null_maps(field(items, "io_facets"), kind.value_type.field("io_facets").type),
            text(field(items, "extra")),
        ]
        return pa.ListArray.from_arrays(offsets_of(self.counts), struct_of(kind.value_type, columns), type=kind)
