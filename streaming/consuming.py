"""What librdkafka's consumer leaves to its user."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from proventrail.streaming.errors import TOPIC_GONE, is_transient

log = logging.getLogger(__name__)

T = TypeVar("T")


def membership(group: str, member: str | None) -> dict[str, object]:
    """librdkafka's settings of a worker of `group`; with a `member` name it is a static one (KIP-345).

    A worker that was killed is missed after 10 s. A static one that is started again within that time gets its
    partitions back at once; two workers must not have the same name, and a name is not left by a graceful end.
    """
    static = {"group.instance.id": member} if member else {}
    return {"group.id": group, "session.timeout.ms": 10_000, "heartbeat.interval.ms": 1_000, **static}


_FENCED_AGAIN_SECONDS = 60.0


def rejoining(work: Callable[[], None], join_anew: Callable[[], None]) -> None:
    """Do `work`; where it raises because the group has fenced its static member, `join_anew` and go on.

    A broker that is killed may have taken a member's wish to join, and not have answered: the member asks again as a
    new one, and what it still does as the old one is fenced, which librdkafka calls fatal. Fenced once more within a
    minute, there is another process of the same name: that raises the KafkaException.
    """
    fenced: float | None = None
    while True:
        try:
            return work()
        except KafkaException as error:
            again = fenced is not None and time.monotonic() - fenced < _FENCED_AGAIN_SECONDS
            if again or error.args[0].code() not in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):
                raise
            log.warning("the group has fenced this worker; joining it anew")
            fenced = time.monotonic()
            join_anew()


def close(consumer: Consumer, seconds: float = 30.0) -> None:
    """Leave the group. Raises what a callback raises meanwhile.

    librdkafka 2.16 may wait for itself for ever when a rebalance is under way (`rd_kafka_assign0` within
    `rd_kafka_consumer_close`). After `seconds` it is left at that: what is to be committed is so before, and the
    brokers miss the member soon.
    """
    failed: list[BaseException] = []

    def work() -> None:
        try:
            consumer.close()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    closing = threading.Thread(target=work, name="consumer-close", daemon=True)
    closing.start()
    closing.join(seconds)
    if closing.is_alive():
        log.warning("the consumer did not close within %.0f s; the brokers will miss it", seconds)
    if failed:
        raise failed[0]


def patiently(ask: Callable[[], T], seconds: float = 30.0) -> T:
    """What `ask` gives of partitions that are there, asked again for `seconds`. Raises KafkaException.

    Brokers that are electing leaders cannot tell, and one that has just started does not know of any topic yet.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except KafkaException as error:
            passes = is_transient(error.args[0]) or error.args[0].code() in TOPIC_GONE
            if not passes or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def committed(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """What the group has committed of `partitions`, waiting for a coordinator. Raises KafkaException."""

    def ask() -> list[TopicPartition]:
        found: list[TopicPartition] = consumer.committed(partitions, timeout=10)
        for tp in found:
            if tp.error is not None:
                raise KafkaException(tp.error)
        return found

    return patiently(ask)


def ends(consumer: Consumer, partition: TopicPartition, seconds: float = 30.0) -> tuple[int, int]:
    """Offset of a partition's first record, and the one that its next will get. Raises KafkaException."""

    def ask() -> tuple[int, int]:
        found: tuple[int, int] = consumer.get_watermark_offsets(partition, timeout=5)
        return found

    return patiently(ask, seconds)


def first_record(consumer: Consumer, at: TopicPartition, timeout: float = 5.0) -> int | None:
    """Offset of the first record of a partition at or after `at`; None if there is none (yet).

    Between two records there may be offsets of transaction markers, which are none. `consumer` is to have
    `enable.partition.eof`; it is assigned to that partition alone. Raises KafkaException.
    """
    consumer.assign([at])
    messages = consumer.consume(1, timeout=timeout)
    if not messages:
        return None
    error = messages[0].error()
    if error is None:
        return int(messages[0].offset())
    if error.code() == KafkaError._PARTITION_EOF:
        return None
    raise KafkaException(error)


def reposition(consumer: Consumer, to: TopicPartition) -> None:
    """Read the assigned partition `to` from its offset on, whatever state it is in.

    `seek` refuses a partition whose reading has stopped with an error (librdkafka: "Erroneous state"), which is just
    when it is needed; so it is unassigned and assigned anew.
    """
    consumer.incremental_unassign([TopicPartition(to.topic, to.partition)])
    consumer.incremental_assign([to])
