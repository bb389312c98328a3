"""Asking brokers that are electing leaders."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from proventrail.streaming.consuming import patiently


class Broker:
    """Refuses with each of `codes`, then answers."""

    def __init__(self, *codes: int) -> None:
        self._codes = list(codes)

    def ask(self) -> str:
        if self._codes:
            raise KafkaException(KafkaError(self._codes.pop(0)))
        return "answer"


def test_a_broker_that_leads_no_more_is_asked_again() -> None:
    assert patiently(Broker(KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._TIMED_OUT).ask) == "answer"


def test_what_waiting_does_not_mend_is_told_at_once() -> None:
    broker = Broker(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        patiently(broker.ask)
    assert broker.ask() == "answer"


def test_patience_ends() -> None:
    with pytest.raises(KafkaException):
        patiently(Broker(*[KafkaError._TIMED_OUT] * 10).ask, seconds=0.2)
