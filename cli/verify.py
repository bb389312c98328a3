"""`proventrail verify-delivery`: the store against the broker, offset by offset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import click
from confluent_kafka import Consumer, TopicPartition

from proventrail.cli.ask import open_store
from proventrail.cli.drained import Backlog
from proventrail.cli.errors import NO
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import RAW_TOPICS
from proventrail.storage.delivery import Hole, PartitionDelivery, partition_delivery
from proventrail.streaming.admin import TopicIds
from proventrail.streaming.consuming import ends, first_record

_WAIT_SECONDS = 300.0


class _Broker:
    """The raw topics as the broker has them."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.ids = TopicIds(kafka)(RAW_TOPICS)
        self._consumer = Consumer(
            {
                **kafka.client_config(),
                "log_level": 2,
                "group.id": "proventrail-verify",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )

    def partitions(self) -> Iterator[tuple[str, int, int, int]]:
        """Topic, partition, first offset that is kept, end."""
        for topic in RAW_TOPICS:
            for partition in sorted(self._consumer.list_topics(topic, timeout=30).topics[topic].partitions):
                low, end = ends(self._consumer, TopicPartition(topic, partition))
                yield topic, partition, low, end

    def records_in(self, topic: str, partition: int, hole: Hole) -> bool:
        """Whether the log has a record in a hole: there are also offsets of transaction markers."""
        found = first_record(self._consumer, TopicPartition(topic, partition, hole.first))
        return found is not None and found <= hole.last

    def close(self) -> None:
        self._consumer.close()


def _reason(broker: _Broker, delivery: PartitionDelivery, low: int, hole: Hole) -> tuple[str, bool]:
    """Why a hole is there, and whether delivery is whole all the same."""
    if hole.last < low:
        return "unverifiable: the broker has not kept these offsets, and no dead letter tells of them", False
    if broker.records_in(delivery.topic, delivery.partition, hole):
        return "not stored (yet): the broker has records here", False
    return "no record: offsets of transaction markers", True


def _holes(broker: _Broker, delivery: PartitionDelivery, low: int) -> Iterator[tuple[Hole, str, bool]]:
    for hole in delivery.expired:
        yield hole, "expired: removed by retention before it was read (recorded as a dead letter)", True
    for gap in delivery.holes:
        # What the broker has and what it has not kept are two matters.
        for hole in (Hole(gap.first, min(gap.last, low - 1)), Hole(max(gap.first, low), gap.last)):
            if hole.first <= hole.last:
                yield hole, *_reason(broker, delivery, low, hole)


@click.command("verify-delivery")
@click.option("--wait", is_flag=True, help="Wait until refine and sink have worked off what was sent before.")
@format_option
@with_target
def verify_delivery(target: Target, wait: bool, fmt: str | None) -> None:
    """Prove that every raw record is stored exactly once or refused with a reason.

    One row per raw partition; `holes` lists each range of offsets without a row, with its reason. Exit code 1 if a
    record is missing, stored twice, or cannot be accounted for.
    """
    kafka = target.reached_kafka()
    store = open_store(target)
    if wait:
        with closing(Backlog(kafka)) as backlog:
            backlog.wait(_WAIT_SECONDS)
    rows: list[list[object]] = []
    whole = True
    with closing(_Broker(kafka)) as broker:
        for topic, partition, low, end in broker.partitions():
            found = partition_delivery(store, target.clickhouse_database, topic, broker.ids[topic], partition, end)
            holes = list(_holes(broker, found, low))
            told = [f"{hole.first}..{hole.last} {reason}" for hole, reason, _ in holes]
            counts = [found.events, found.duplicates, found.dead_letters, found.doubled]
            rows.append([topic, partition, end, *counts, told])
            whole = whole and not found.doubled and all(fine for *_, fine in holes)
    show(["topic", "partition", "end", "events", "duplicates", "dead_letters", "doubled", "holes"], rows, fmt)
    click.echo("every record is stored once or refused with a reason" if whole else "delivery is NOT whole", err=True)
    if not whole:
        raise SystemExit(NO)
