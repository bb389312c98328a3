"""Which topic goes to which table."""

from __future__ import annotations

from proventrail.schemas.avro import Resolver
from proventrail.schemas.topics import CATALOG, DEADLETTER, REFINED
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.catalog import CatalogWriter
from proventrail.storage.sink.consumer import WriterFactory
from proventrail.storage.sink.dead_letters import DeadLetterWriter
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.store import Store


def writers(store: Store, dialect: Dialect, resolver: Resolver | None = None) -> dict[str, WriterFactory]:
    """A writer for every topic that the store keeps, as `Sink` wants them."""
    return {
        REFINED: lambda partition: EventWriter(store, dialect, partition, resolver=resolver),
        DEADLETTER: lambda partition: DeadLetterWriter(store, dialect, partition, resolver),
        CATALOG: lambda _: CatalogWriter(store, dialect, resolver),
    }
