"""The catalogue's writer: the newest record of an entry wins, and a record without a value removes it."""

from __future__ import annotations

import dataclasses

from proventrail.schemas import avro
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.catalog import CatalogWriter
from proventrail.storage.store import ClientStore

from .conftest import chunk_of

_FIELDS = "kind description owner steward classification retention_class licence cadence".split()


def test_the_newest_record_of_an_entry_wins(store: ClientStore, dialect: Dialect) -> None:
    def entry(owner: str) -> bytes:
        fields = {**dict.fromkeys(_FIELDS, ""), "owner": owner, "regulations": ["GDPR"], "tags": {"team": "a"}}
        return avro.encode("catalog_entry", {"namespace": "n", "name": "kept", **fields})

    values = [entry("before"), entry("removed"), entry("after"), b""]
    keys: list[bytes | None] = [b"n\nkept", b"n\ngone", b"n\nkept", b"n\ngone"]
    writer = CatalogWriter(store, dialect)
    chunk = dataclasses.replace(chunk_of(values, topic="lineage.catalog"), keys=keys)
    writer.write(chunk, replay=False)
    writer.write(chunk, replay=True)
    found = store.rows(f"SELECT namespace, name, owner, regulations, tags FROM {dialect.name('catalog')}")
    assert found == [("n", "kept", "after", ["GDPR"], {"team": "a"})]
