"""Settings of refine's Kafka clients. Those with which an event can be lost are not for a user to change."""

from __future__ import annotations

from typing import Any

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import MAX_DEADLETTER_BYTES
from proventrail.stream_processors.errors import RefineError
from proventrail.streaming.consuming import membership

_SAFE_CONSUMER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A position that retention has overtaken must be an error that we see, never a silent jump.
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
}
_SAFE_PRODUCER = {"enable.idempotence": True, "acks": "all"}


def _checked(config: dict[str, Any], safe: dict[str, Any]) -> dict[str, Any]:
    for name, value in safe.items():
        if str(config.get(name, value)).lower() != str(value).lower():
            raise RefineError(f"{name} must be {value}: anything else can lose events. Remove it from the settings")
    return {**config, **safe}


def consumer_config(kafka: KafkaSettings, group: str, member: str | None, more: dict[str, Any]) -> dict[str, Any]:
    """librdkafka's settings of a worker of `group`, with `more` by its names. Raises RefineError for unsafe ones."""
    return {
        "partition.assignment.strategy": "cooperative-sticky",
        "queued.max.messages.kbytes": 32_768,
        "fetch.message.max.bytes": 4 << 20,
        "fetch.wait.max.ms": 20,
        **kafka.client_config(),
        **_checked(more, _SAFE_CONSUMER),
        **membership(group, member),
    }


def producer_config(kafka: KafkaSettings, more: dict[str, Any]) -> dict[str, Any]:
    """librdkafka's settings of the producer, with `more` by its names. Raises RefineError for unsafe ones."""
    return {
        "linger.ms": 5,
        "batch.size": 1 << 20,
        "compression.type": "lz4",
        "message.max.bytes": MAX_DEADLETTER_BYTES,
        # One batch at a time is in flight; it must fit, or its order could not be kept.
        "queue.buffering.max.messages": 10_000_000,
        "queue.buffering.max.kbytes": 1 << 20,
        # A broker that is away is waited for: back-pressure, not an error.
        "message.timeout.ms": 0,
        **kafka.client_config(),
        **_checked(more, _SAFE_PRODUCER),
        "delivery.report.only.error": True,
    }
