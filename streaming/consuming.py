"""What librdkafka's consumer leaves to its user."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition


def reposition(consumer: Consumer, to: TopicPartition) -> None:
    """Read the assigned partition `to` from its offset on, whatever state it is in.

    `seek` refuses a partition whose reading has stopped with an error (librdkafka: "Erroneous state"), which is just
    when it is needed; so it is unassigned and assigned anew.
    """
    consumer.incremental_unassign([TopicPartition(to.topic, to.partition)])
    consumer.incremental_assign([to])
