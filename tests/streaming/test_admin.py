"""Topics are created as specified, configured again, and known by their UUIDs."""

from __future__ import annotations

import time
import uuid

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import TopicSpec
from proventrail.streaming.admin import TopicError, TopicIds, ensure_topics


def _configuration(settings: KafkaSettings, topic: str) -> dict[str, str]:
    admin = AdminClient(settings.client_config())
    [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: entry.value for name, entry in future.result().items()}


def _spec(name: str, partitions: int = 2, **config: str) -> TopicSpec:
    return TopicSpec(name, partitions, 1, {key.replace("_", "."): value for key, value in config.items()})


@pytest.fixture
def name() -> str:
    return f"admin-{uuid.uuid4().hex[:8]}"


def test_what_is_missing_is_created_and_what_is_there_is_configured(kafka_settings: KafkaSettings, name: str) -> None:
    assert ensure_topics(kafka_settings, [_spec(name, retention_ms="1000", segment_ms="2000")]) == [name]
    assert ensure_topics(kafka_settings, [_spec(name, retention_ms="5000")]) == []
    found = _configuration(kafka_settings, name)
    assert found["retention.ms"] == "5000"
    assert found["segment.ms"] == "2000", "what the specification does not name must stay"


def test_another_number_of_partitions_is_refused(kafka_settings: KafkaSettings, name: str) -> None:
    ensure_topics(kafka_settings, [_spec(name)])
    with pytest.raises(TopicError, match=f"topic {name} has 2 partitions.*--partitions 2"):
        ensure_topics(kafka_settings, [_spec(name, partitions=3)])


def test_a_setting_that_kafka_does_not_know_is_named_with_its_topic(kafka_settings: KafkaSettings, name: str) -> None:
    with pytest.raises(TopicError, match=f"topic {name} could not be created"):
        ensure_topics(kafka_settings, [_spec(name, no_such_setting="1")])


def test_a_topic_made_again_has_another_id(kafka_settings: KafkaSettings, name: str) -> None:
    ids = TopicIds(kafka_settings)
    with pytest.raises(TopicError, match="does not exist"):
        ids([name])
    ensure_topics(kafka_settings, [_spec(name)])
    first = ids([name])[name]
    assert str(uuid.UUID(first)) == first
    admin = AdminClient(kafka_settings.client_config())
    admin.delete_topics([name], operation_timeout=20)[name].result()
    deadline = time.monotonic() + 30
    while name in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < deadline
    ensure_topics(kafka_settings, [_spec(name)])
    assert ids([name])[name] != first
