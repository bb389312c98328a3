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
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from proventrail.gateway import GatewayServer, GatewaySettings
from proventrail.schemas import avro
from proventrail.schemas.settings import KafkaSettings
from tests.conftest import MakeTopic


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


def read_topic(kafka: KafkaSettings, topic: str) -> list[Message]:
    """Every record that is on the topic now, partition by partition in offset order."""
    consumer = Consumer({**kafka.client_config(), "group.id": uuid.uuid4().hex, "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    found: list[Message] = []
    while len(found) < sum(ends.values()):
        message = consumer.poll(10)
        assert message is not None, f"{len(found)} of {sum(ends.values())} records came back"
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

    def records(self) -> list[dict[str, Any]]:
        """What is on the topic, decoded."""
        return [avro.decode("lineage_event", m.value()) for m in read_topic(self.settings.kafka, self.settings.topic)]

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


@pytest.fixture
def serve(kafka_settings: KafkaSettings, make_topic: MakeTopic, tmp_path: Path) -> Iterator[Serve]:
    """`serve(**settings)` starts a gateway with a topic of its own."""
    running: list[Served] = []

    def start(**overrides: Any) -> Served:
        overrides.setdefault("kafka", kafka_settings)
        if "topic" not in overrides:
            overrides["topic"] = make_topic(name="events", partitions=3, max_message_bytes=str(12 << 20))
        settings = GatewaySettings(data_dir=tmp_path / uuid.uuid4().hex, port=0, **overrides)
        server = GatewayServer(settings)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append(Served(server, settings, thread))
        return running[-1]

    yield start
    for served in running:
        served.stop()
