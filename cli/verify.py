"""`proventrail verify-delivery`: the store against the broker, offset by offset."""

from __future__ import annotations

from collections.abc import Iterator

import click
from confluent_kafka import Consumer, TopicPartition

from proventrail.cli.ask import open_store
from proventrail.cli.errors import NO
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import RAW_TOPICS
from proventrail.storage.delivery import Hole, PartitionDelivery, partition_delivery
from proventrail.streaming.admin import TopicIds


class _Broker:
    """The raw topics as the broker has them."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.ids = TopicIds(kafka)(RAW_TOPICS)
        self._consumer = Consumer(
            {**kafka.client_config(), "group.id": "proventrail-verify", "enable.auto.commit": False}
        )

    def partitions(self) -> Iterator[tuple[str, int, int, int]]:
        """Topic, partition, first offset that is kept, end."""
        for topic in RAW_TOPICS:
            for partition in sorted(self._consumer.list_topics(topic, timeout=30).topics[topic].partitions):
                low, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
                yield topic, partition, low, end

    def records_in(self, topic: str, partition: int, hole: Hole) -> bool:
        """Whether the log has a record in a hole: there are also offsets of transaction markers."""
        self._consumer.assign([TopicPartition(topic, partition, hole.first)])
        while True:
            messages = self._consumer.consume(1, timeout=3)
            if not messages or messages[0].error() is not None:
                return False
            return bool(messages[0].offset() <= hole.last)

    def close(self) -> None:
        self._consumer.close()


def _reason(broker: _Broker, delivery: PartitionDelivery, low: int, hole: Hole) -> str:
    if any(gone.first <= hole.first and hole.last <= gone.last for gone in delivery.expired):
        return "expired: removed by retention before it was read (recorded as a dead letter)"
    if hole.last < low:
        return "unverifiable: the broker has not kept these offsets, and no dead letter tells of them"
    if broker.records_in(delivery.topic, delivery.partition, hole):
        return "not stored (yet): the broker has records here"
    return "no record: offsets of transaction markers"


@click.command("verify-delivery")
@format_option
@with_target
def verify_delivery(target: Target, fmt: str | None) -> None:
    """Prove that every raw record is stored exactly once or refused with a reason. Exit code 1 if not."""
    store = open_store(target)
    broker = _Broker(target.kafka())
    database = target.clickhouse_database
    rows: list[list[object]] = []
    notes: list[str] = []
    whole = True
    for topic, partition, low, end in broker.partitions():
        found = partition_delivery(store, database, topic, broker.ids[topic], partition, end)
        rows.append(
            [topic, partition, end, found.events, found.duplicates, found.dead_letters, found.doubled, len(found.holes)]
        )
        whole = whole and not found.doubled
        for hole in found.holes:
            reason = _reason(broker, found, low, hole)
            notes.append(f"{topic} {partition}: {hole.first}..{hole.last}: {reason}")
            whole = whole and reason.startswith(("expired", "no record"))
    broker.close()
    show(["topic", "partition", "end", "events", "duplicates", "dead_letters", "doubled", "holes"], rows, fmt)
    for note in notes:
        click.echo(note, err=True)
    click.echo("every record is stored once or refused with a reason" if whole else "delivery is NOT whole", err=True)
    if not whole:
        raise SystemExit(NO)
