"""The sink with a schema registry: every topic's frames are read, and while it is away nothing is set aside."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from proventrail.schemas import avro
from proventrail.schemas.models import CatalogEntry
from proventrail.schemas.registry import RegistryUnavailable, SchemaRegistry
from proventrail.schemas.settings import KafkaSettings, SchemaRegistrySettings
from proventrail.schemas.topics import SCHEMA_OF_TOPIC
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.catalog import CatalogWriter
from proventrail.storage.sink.consumer import Sink
from proventrail.storage.sink.dead_letters import DeadLetterWriter
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.store import ClientStore
from tests.conftest import MakeTopic

from .conftest import TOPIC_ID, refined


class Registry:
    """A registry in memory that can be away."""

    def __init__(self) -> None:
        registry = SchemaRegistry(SchemaRegistrySettings(url="mock://sink"))
        for topic, name in SCHEMA_OF_TOPIC.items():
            registry.register(topic, name)
        self.framing = registry.framing(SCHEMA_OF_TOPIC)
        self.away = threading.Event()
        self._resolve = registry.resolve

    def resolve(self, schema_id: int) -> str:
        if self.away.is_set():
            raise RegistryUnavailable("the schema registry does not answer (test)")
        return self._resolve(schema_id)


@pytest.fixture
def registry() -> Registry:
    return Registry()


class Running:
    """A sink in a thread, over three topics of its own."""

    def __init__(
        self, kafka: KafkaSettings, make_topic: MakeTopic, store: ClientStore, dialect: Dialect, registry: Registry
    ) -> None:
        self._kafka = kafka
        self.events, self.letters, self.catalog = (make_topic(name=name) for name in ("refined", "dead", "catalog"))
        resolve = registry.resolve
        self.sink = Sink(
            kafka,
            f"g-{uuid.uuid4().hex[:8]}",
            {
                self.events: lambda partition: EventWriter(store, dialect, partition, resolver=resolve),
                self.letters: lambda partition: DeadLetterWriter(store, dialect, partition, resolve),
                self.catalog: lambda _: CatalogWriter(store, dialect, resolve),
            },
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.sink.run, args=(self._stop,))
        self._thread.start()

    def send(self, topic: str, value: bytes, key: bytes = b"k") -> None:
        producer = Producer(self._kafka.client_config())
        producer.produce(topic, value, key)
        assert producer.flush(30) == 0

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def running(
    kafka_settings: KafkaSettings, make_topic: MakeTopic, store: ClientStore, dialect: Dialect, registry: Registry
) -> Iterator[Running]:
    running = Running(kafka_settings, make_topic, store, dialect, registry)
    yield running
    running.stop()


def test_frames_wait_for_the_registry_and_are_stored(
    running: Running, registry: Registry, store: ClientStore, dialect: Dialect
) -> None:
    def stored() -> list[int]:
        tables = ("events", "dead_letters", "catalog")
        return [store.rows(f"SELECT count() FROM {dialect.database}.{table}")[0][0] for table in tables]

    def wait(reached: bool = True, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while (stored() == [1, 1, 1]) is not reached or running.sink.ready()[0] is not reached:
            assert time.monotonic() < deadline, (stored(), running.sink.ready())
            time.sleep(0.05)

    registry.away.set()
    letter = {
        "raw_topic_id": TOPIC_ID,
        "raw_topic": "lineage.events",
        "raw_partition": 0,
        "raw_offset": 7,
        "received_at": 1,
        "reason": "invalid",
        "stage": "validate",
        "path": "",
        "message": "",
    }
    entry = CatalogEntry(namespace="s3://b", name="t", kind="database").to_record()
    running.send(running.events, avro.encode("refined_event", refined(0), registry.framing))
    running.send(running.letters, avro.encode("dead_letter", letter, registry.framing))
    running.send(running.catalog, avro.encode("catalog_entry", entry, registry.framing), b"s3://b\nt")
    deadline = time.monotonic() + 90
    while "schema registry" not in running.sink.ready()[1]:
        assert time.monotonic() < deadline, running.sink.ready()
        time.sleep(0.05)
    time.sleep(1)
    assert stored() == [0, 0, 0]
    assert not running.sink.ready()[0]
    registry.away.clear()
    wait()
    [(reason, stage)] = store.rows(f"SELECT reason, stage FROM {dialect.database}.dead_letters")
    assert (reason, stage) == ("invalid", "validate")
