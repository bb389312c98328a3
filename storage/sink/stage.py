"""The sink with its writers: which topic goes to which table."""

from __future__ import annotations

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import CATALOG, DEADLETTER, REFINED
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.catalog import CatalogWriter
from proventrail.storage.sink.consumer import Sink
from proventrail.storage.sink.dead_letters import DeadLetterWriter
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.store import Store


def make_sink(kafka: KafkaSettings, group: str, store: Store, dialect: Dialect) -> Sink:
    """A sink for every topic that the store keeps."""
    return Sink(
        kafka,
        group,
        {
            REFINED: lambda partition: EventWriter(store, dialect, partition),
            DEADLETTER: lambda partition: DeadLetterWriter(store, dialect, partition),
            CATALOG: lambda _: CatalogWriter(store, dialect),
        },
    )
