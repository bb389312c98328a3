"""Where refine's results go: the topics of refined events, dead letters and observations."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from proventrail.stream_processors.errors import RefineError
from proventrail.stream_processors.refine import Refined

log = logging.getLogger(__name__)


class Output:
    """Produces to three topics by one client; `config` are librdkafka's settings of it."""

    def __init__(self, config: dict[str, Any], refined: str, dead_letters: str, observations: str) -> None:
        self._refined, self._dead_letters, self._observations = refined, dead_letters, observations
        self._refused: KafkaError | None = None
        self._producer = Producer(config, logger=log)

    def produce(self, partition: int, refined: Refined) -> None:
        """Send what a batch of a raw partition led to. Raises RefineError if the client does not take it."""
        values = zip(refined.keys, refined.values, strict=True)
        self._send(self._refined, [{"value": value, "key": key} for key, value in values], partition)
        letters = refined.dead_letters.values()
        self._send(self._dead_letters, [{"value": value, "key": key} for key, value in letters], partition)
        self._send(self._observations, [{"value": value, "key": key} for key, value in refined.observations], -1)
        self._producer.poll(0)

    def dead_letter(self, partition: int, letter: bytes) -> None:
        """Send an encoded dead letter that no batch led to. Raises RefineError if the client does not take it."""
        self._send(self._dead_letters, [{"value": letter}], partition)

    def acknowledged(self, seconds: float) -> bool:
        """Whether brokers have all that was produced, within `seconds`. Raises RefineError if they refused a record."""
        waiting = self._producer.flush(seconds)
        if self._refused is not None:
            raise RefineError(
                f"a refined event, dead letter or observation could not be written ({self._refused.name()}): "
                "nothing was committed; see to the topics, then start again"
            )
        return not waiting

    def _send(self, topic: str, messages: list[dict[str, Any]], partition: int) -> None:
        if not messages:
            return
        queued = self._producer.produce_batch(topic, messages, partition, on_delivery=self._delivered)
        if queued != len(messages):
            error = next(message["_error"] for message in messages if "_error" in message)
            raise RefineError(f"{len(messages) - queued} records for {topic} were not taken by the client: {error}")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._refused is None:
            self._refused = error
            log.error("topic %s did not take a record: %s", message.topic(), error.name())
