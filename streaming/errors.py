"""What a stage does about an error of Kafka, in one place."""

from __future__ import annotations

from confluent_kafka import KafkaError

TRANSIENT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._FAIL,
        KafkaError._ALL_BROKERS_DOWN,
        # A broker left the cluster, or answered under another id, while it was asked.
        KafkaError._DESTROY_BROKER,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError._RETRY,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
    }
)
"""librdkafka goes on by itself; there is nothing to do but to wait."""

NOT_OWNER = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._STATE,
    }
)
"""The group has gone on without us: another worker has the partition, and works it off again from its commit."""

TOPIC_GONE = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
    }
)
"""A topic was deleted, and may be made again."""

POSITION_GONE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
"""The record at our position is not there: retention removed it, or the topic was made again."""


def is_transient(error: KafkaError) -> bool:
    """Whether waiting is enough."""
    return error.code() in TRANSIENT or bool(error.retriable())
