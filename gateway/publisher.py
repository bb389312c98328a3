"""Events to Kafka, and the acknowledgements back to the requests that wait for them.

Everything happens on the event loop: librdkafka sends in threads of its own, and its delivery reports are fetched by
`poll(0)` from a loop task while anything is under way. So a report wakes its request without a lock or a thread.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import MAX_MESSAGE_BYTES

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.001
_IDLE_SECONDS = 0.5


class Unavailable(Exception):
    """Kafka takes nothing now; the text says why. The caller answers 503."""


class Delivery:
    """The acknowledgements that one request waits for, by the index of its events."""

    __slots__ = ("_all_answered", "failed", "pending")

    def __init__(self) -> None:
        self._all_answered: asyncio.Future[None] | None = None
        self.pending: set[int] = set()
        self.failed: dict[int, KafkaError] = {}

    def report(self, index: int, error: KafkaError | None, _message: Message) -> None:
        """Kafka's answer for event `index`."""
        self.pending.discard(index)
        if error is not None:
            self.failed[index] = error
        if not self.pending:
            self._wake()

    def _wake(self) -> None:
        if self._all_answered is not None and not self._all_answered.done():
            self._all_answered.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Return when Kafka has answered for every event, or after `seconds`; then `pending` names the others."""
        if not self.pending or seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        self._all_answered = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._all_answered
        finally:
            timer.cancel()


class Publisher:
    """An idempotent producer for one topic. Create it in the process and loop that use it; run `run` as a task."""

    def __init__(self, kafka: KafkaSettings, topic: str, queue_bytes: int, timeout: float) -> None:
        self.topic = topic
        self._producer = Producer(
            {
                **kafka.client_config(),
                "client.id": "proventrail-gateway",
                "enable.idempotence": True,
                # As Kafka's Java clients: all events of a job lie in one partition, whoever sends them.
                "partitioner": "murmur2_random",
                "linger.ms": 2,
                "batch.num.messages": 10_000,
                "compression.type": "lz4",
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "queue.buffering.max.kbytes": queue_bytes >> 10,
                "queue.buffering.max.messages": 1_000_000,
                # When nobody waits for it any more, an event must not take up the queue.
                "delivery.timeout.ms": int(timeout * 1000),
                "reconnect.backoff.max.ms": 500,
                "error_cb": self._on_error,
            },
            logger=_log,
        )
        self._work = asyncio.Event()
        self.fatal: KafkaError | None = None
        """Set once when the producer can't go on; the process has to be started anew."""

    def send(self, key: bytes, value: bytes, delivery: Delivery, index: int) -> None:
        """Queue one event of `delivery`. Raises Unavailable; KafkaException if Kafka can never take it."""
        try:
            self._producer.produce(self.topic, value, key, on_delivery=partial(delivery.report, index))
        except BufferError:
            raise Unavailable("events come faster than Kafka takes them") from None
        delivery.pending.add(index)
        self._work.set()

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = error

    async def run(self) -> None:
        """Fetch delivery reports until the producer fails for good. Raises KafkaException then."""
        while self.fatal is None:
            self._producer.poll(0)
            if len(self._producer):
                await asyncio.sleep(_POLL_SECONDS)
                continue
            self._work.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self._work.wait()
        raise KafkaException(self.fatal)

    def check(self, timeout: float) -> str | None:
        """What is wrong with the way to the topic, or None. Blocks: call it from a thread."""
        try:
            found = self._producer.list_topics(self.topic, timeout=timeout).topics[self.topic]
        except KafkaException as error:
            return f"no Kafka broker answers ({error.args[0].name()})"
        if found.error is not None:
            return f"topic {self.topic}: {found.error.name()}"
        if any(partition.leader < 0 for partition in found.partitions.values()):
            return f"topic {self.topic}: a partition has no leader"
        return None

    def flush(self, timeout: float) -> int:
        """Wait for what is queued; the number of events that are still without an answer. Blocks."""
        return int(self._producer.flush(timeout))
