"""Waiting until everything that was accepted is stored, and everything derived from it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import DEADLETTER, RAW_TOPICS, REFINED
from proventrail.streaming.errors import is_transient

GROUPS: tuple[tuple[str, Sequence[str]], ...] = (
    ("proventrail-refine", RAW_TOPICS),
    ("proventrail-sink", (REFINED, DEADLETTER)),
)


class Backlog:
    """How many records the stages have yet to work off, by their committed offsets. The sink commits last of all.

    Asks as a consumer of each group that never joins it. The admin client's `list_consumer_group_offsets` would do, but
    librdkafka 2.16 ends the process (SIGSEGV in `rd_kafka_cgrp_op`) when a coordinator answers it while it is loading.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumers = {
            group: Consumer({**kafka.client_config(), "group.id": group, "enable.auto.commit": False})
            for group, _ in GROUPS
        }

    def records(self) -> int:
        """Records that are read but not committed, or not read, over both stages. Raises KafkaException."""
        return sum(self._of(self._consumers[group], topics) for group, topics in GROUPS)

    def _of(self, consumer: Consumer, topics: Sequence[str]) -> int:
        partitions = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in consumer.list_topics(topic, timeout=30).topics[topic].partitions
        ]
        behind = 0
        for tp in consumer.committed(partitions, timeout=30):
            if tp.error is not None:
                raise KafkaException(tp.error)
            low, end = consumer.get_watermark_offsets(tp, timeout=30)
            behind += end - max(low, tp.offset, 0)
        return behind

    def wait(self, timeout: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """Return when nothing is left. Raises TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        left: int | None = None
        while not stopped():
            try:
                left = self.records()
            except KafkaException as error:
                if not is_transient(error.args[0]):
                    raise
            if left == 0:
                return
            if time.monotonic() > deadline:
                counted = "some" if left is None else left
                raise TimeoutError(f"{counted} records are not worked off after {timeout:.0f} s: see the logs")
            time.sleep(0.1)

    def close(self) -> None:
        for consumer in self._consumers.values():
            consumer.close()
