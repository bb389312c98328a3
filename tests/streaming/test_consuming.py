"""Asking brokers that are electing leaders."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from proventrail.streaming.consuming import close, patiently


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


class Stuck:
    """A consumer whose `close` waits for itself, or fails."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error

    def close(self) -> None:
        if self._error is not None:
            raise self._error
        threading.Event().wait()


def test_a_consumer_that_does_not_close_is_left_alone() -> None:
    close(Stuck(), seconds=0.1)  # type: ignore[arg-type]


def test_what_a_callback_raises_while_it_closes_is_raised() -> None:
    with pytest.raises(KafkaException):
        close(Stuck(KafkaException(KafkaError(KafkaError._FATAL))))  # type: ignore[arg-type]
