"""A real gateway in a thread, in front of the session's broker."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from proventrail.embedded.broker import KafkaBroker
from proventrail.gateway import GatewayServer, GatewaySettings
from proventrail.schemas import avro
from proventrail.schemas.settings import KafkaSettings
from proventrail.streaming.consuming import ends
from tests.conftest import MakeTopic, create_topic


def run_event(job_name: str = "job", **more: Any) -> dict[str, Any]:
    """A small valid RunEvent with a run id of its own."""
    return {
        "eventTime": "2026-11-24T09:30:00Z",
        "eventType": "START",
        "run": {"runId": str(uuid.uuid4())},
        "job": {"namespace": "test", "name": job_name},
        "producer": "https://example.org/test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        **more,
    }


def _consumer(kafka: KafkaSettings) -> Consumer:
    return Consumer({**kafka.client_config(), "group.id": uuid.uuid4().hex, "enable.auto.commit": False})


def _ends(consumer: Consumer, topic: str) -> dict[int, int]:
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    return {p: ends(consumer, TopicPartition(topic, p))[1] for p in partitions}


def ends_of(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    """Partition -> the offset that its next record gets."""
    consumer = _consumer(kafka)
    found = _ends(consumer, topic)
    consumer.close()
    return found


def read_topic(kafka: KafkaSettings, topic: str, start: dict[int, int] | None = None) -> list[Message]:
    """Every record that is on the topic now (from the offsets `start` on), by partition and in offset order."""
    consumer = _consumer(kafka)
    ends = _ends(consumer, topic)
    start = start or dict.fromkeys(ends, 0)
    consumer.assign([TopicPartition(topic, p, start[p]) for p in ends])
    found: list[Message] = []
    while len(found) < sum(ends[p] - start[p] for p in ends):
        message = consumer.poll(10)
        assert message is not None, f"{len(found)} records came back, and there are more"
        assert message.error() is None
        found.append(message)
    consumer.close()
    return sorted(found, key=lambda m: (m.partition(), m.offset()))


@dataclass
class Served:
    """A running gateway and a client that knows its token."""

    server: GatewayServer
    settings: GatewaySettings
    thread: threading.Thread
    start: dict[int, int] | None = None
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=self.server.url,
            headers={"Authorization": f"Bearer {self.server.token}"},
            timeout=20,
            trust_env=False,
            verify=False,
        )

    def post(self, content: bytes | str | Any, path: str = "/api/v1/lineage", **headers: str) -> httpx.Response:
        """POST bytes as they are, anything else as JSON. Header names: `content_type` for Content-Type."""
        names = {"Content-Type": "application/json"} | {k.replace("_", "-").title(): v for k, v in headers.items()}
        if isinstance(content, bytes | str):
            return self.client.post(path, content=content, headers=names)
        return self.client.post(path, json=content, headers=names)

    def batch(self, events: Any, **headers: str) -> httpx.Response:
        return self.post(events, "/api/v1/lineage/batch", **headers)

    def messages(self) -> list[Message]:
        """What is on the topic, or what this test has put there where it shares the gateway."""
        return read_topic(self.settings.kafka, self.settings.topic, self.start)

    def records(self) -> list[dict[str, Any]]:
        """`messages`, decoded."""
        return [avro.decode("lineage_event", message.value()) for message in self.messages()]

    def stop(self) -> None:
        self.client.close()
        self.server.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()


def head(gateway: Served, length: int, *extra: str) -> bytes:
    """The head of a POST of one event over a bare socket."""
    lines = [
        "POST /api/v1/lineage HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {gateway.server.token}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


Serve = Callable[..., Served]


def start_gateway(settings: GatewaySettings) -> Served:
    """A gateway in a thread of this process."""
    server = GatewayServer(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    return Served(server, settings, thread)


@pytest.fixture
def serve(kafka_settings: KafkaSettings, make_topic: MakeTopic, tmp_path: Path) -> Iterator[Serve]:
    """`serve(**settings)` starts a gateway with a topic of its own."""
    running: list[Served] = []

    def start(**overrides: Any) -> Served:
        overrides.setdefault("kafka", kafka_settings)
        if "topic" not in overrides:
            overrides["topic"] = make_topic(name="events", partitions=3, max_message_bytes=str(12 << 20))
        settings = GatewaySettings(data_dir=tmp_path / uuid.uuid4().hex, port=0, **overrides)
        running.append(start_gateway(settings))
        return running[-1]

    yield start
    for served in running:
        served.stop()


@pytest.fixture(scope="module")
def _shared_gateway(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    topic = f"events-{uuid.uuid4().hex}"
    create_topic(kafka.bootstrap_servers, topic, 3, 1, {"max.message.bytes": str(12 << 20)})
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    data_dir = tmp_path_factory.mktemp("gateway")
    served = start_gateway(GatewaySettings(kafka=settings, topic=topic, data_dir=data_dir, port=0))
    yield served
    served.stop()


@pytest.fixture
def gateway(_shared_gateway: Served) -> Iterator[Served]:
    """A gateway with default settings that the tests of a module share; each sees only its own records."""
    shared = _shared_gateway
    own = Served(shared.server, shared.settings, shared.thread, ends_of(shared.settings.kafka, shared.settings.topic))
    yield own
    own.client.close()
