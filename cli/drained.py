"""Waiting until everything that was accepted is stored, and everything derived from it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import DEADLETTER, RAW_TOPICS, REFINED
from proventrail.streaming.admin import TopicError
from proventrail.streaming.consuming import committed, ends, first_record
from proventrail.streaming.errors import TOPIC_GONE, is_transient

GROUPS: tuple[tuple[str, Sequence[str]], ...] = (
    ("proventrail-refine", RAW_TOPICS),
    ("proventrail-sink", (REFINED, DEADLETTER)),
)

_MARKERS = 4
"""Offsets at the end of a partition that may all be markers; more are not looked at."""


class Backlog:
    """How many records the stages have yet to work off, by their committed offsets. The sink commits last of all.

    Asks as a consumer of each group that never joins it. The admin client's `list_consumer_group_offsets` would do, but
    librdkafka 2.16 ends the process (SIGSEGV in `rd_kafka_cgrp_op`) when a coordinator answers it while it is loading.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumers = {group: Consumer(self._config(kafka, group)) for group, _ in GROUPS}

    @staticmethod
    def _config(kafka: KafkaSettings, group: str) -> dict[str, object]:
        own = {"group.id": group, "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 2}
        return {**kafka.client_config(), **own}

    def records(self) -> int:
        """Records that are read but not committed, or not read, over both stages. Raises KafkaException, TopicError."""
        return sum(self.of(group, topics) for group, topics in GROUPS)

    def of(self, group: str, topics: Sequence[str]) -> int:
        """Records of `topics` that the group has yet to work off. Raises KafkaException, or TopicError for no topic."""
        consumer = self._consumers[group]
        partitions: list[TopicPartition] = []
        for topic in topics:
            found = consumer.list_topics(topic, timeout=30).topics[topic]
            if found.error is not None and found.error.code() in TOPIC_GONE:
                raise TopicError(f"topic {topic} does not exist: create it with `proventrail topics`")
            partitions += [TopicPartition(topic, partition) for partition in found.partitions]
        behind = 0
        for tp in committed(consumer, partitions):
            low, end = ends(consumer, tp)
            # A commit that lies outside is of a topic of the same name, which is gone.
            start = tp.offset if low <= tp.offset <= end else low
            position = TopicPartition(tp.topic, tp.partition, start)
            # A transaction's marker at the end is an offset that nobody reads and commits.
            if not (0 < end - start <= _MARKERS and first_record(consumer, position) is None):
                behind += end - start
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
