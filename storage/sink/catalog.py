"""Catalogue entries -> rows of `catalog`; the newest record of an entry wins, by its offset."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from proventrail.schemas.avro import Resolver, decode
from proventrail.schemas.wire import CodecError
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.writer import Chunk, SinkError, Written
from proventrail.storage.store import Store

_STRINGS = "kind description owner steward classification retention_class licence cadence".split()
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("namespace", "name", *_STRINGS)),
        ("regulations", pa.list_(pa.string())),
        ("tags", pa.map_(pa.string(), pa.string())),
        ("deleted", pa.uint8()),
        ("revision", pa.uint64()),
    ]
)


class CatalogWriter:
    """PartitionWriter of `lineage.catalog`. Repeats are harmless: a row is replaced by one of a higher offset."""

    def __init__(self, store: Store, dialect: Dialect, resolver: Resolver | None = None) -> None:
        self._resolver = resolver
        self._store = store
        self._dialect = dialect

    def open(self, pending: Pending | None) -> None:
        """Nothing to learn."""

    def marks(self) -> dict[str, int]:
        return {}

    def write(self, chunk: Chunk, *, replay: bool) -> Written:
        rows = []
        for offset, key, value in zip(chunk.offsets, chunk.keys, chunk.values, strict=True):
            namespace, _, name = (key or b"").decode("utf-8", "replace").partition("\n")
            entry: dict[str, Any] = {
                "namespace": namespace,
                "name": name,
                **dict.fromkeys(_STRINGS, ""),
                "regulations": [],
                "tags": {},
            }
            if value:
                try:
                    entry |= decode("catalog_entry", value, self._resolver)
                except CodecError as error:
                    raise SinkError(
                        f"{chunk.topic}[{chunk.partition}] {offset}: no catalogue entry ({error.code}): something else "
                        "than `proventrail catalog apply` wrote it; delete the record and apply the catalogue again"
                    ) from None
            rows.append({**entry, "tags": list(entry["tags"].items()), "deleted": int(not value), "revision": offset})
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
        self._store.insert(self._dialect.name("catalog_states"), table, chunk.token("catalog"))
        return Written()
