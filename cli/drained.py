"""Waiting until everything that was accepted is stored, and everything derived from it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import DEADLETTER, RAW_TOPICS, REFINED

GROUPS: tuple[tuple[str, Sequence[str]], ...] = (
    ("proventrail-refine", RAW_TOPICS),
    ("proventrail-sink", (REFINED, DEADLETTER)),
)


class Backlog:
    """How many records the stages have yet to work off, by their committed offsets. The sink commits last of all."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._admin = AdminClient(kafka.client_config())
        self._consumer = Consumer({**kafka.client_config(), "group.id": "proventrail-backlog"})

    def records(self) -> int:
        """Records that are read but not committed, or not read, over both stages. Raises KafkaException."""
        return sum(self._of(group, topics) for group, topics in GROUPS)

    def _of(self, group: str, topics: Sequence[str]) -> int:
        found = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
        committed = {(tp.topic, tp.partition): max(0, tp.offset) for tp in found.topic_partitions}
        behind = 0
        for topic in topics:
            for partition in self._consumer.list_topics(topic, timeout=30).topics[topic].partitions:
                low, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
                behind += end - max(low, committed.get((topic, partition), 0))
        return behind

    def wait(self, timeout: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """Return when nothing is left. Raises TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (left := self.records()) and not stopped():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} records are not worked off after {timeout:.0f} s: see the logs")
            time.sleep(0.1)

    def close(self) -> None:
        self._consumer.close()
