"""What a gateway answers when Kafka is slow, full or away; and that it claims nothing that Kafka does not have."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proventrail.embedded.broker import KafkaBroker
from proventrail.schemas.settings import KafkaSettings
from tests.conftest import create_topic
from tests.gateway.conftest import Serve, Served, head, run_event

BOUND = 1.0


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker that the test may stop."""
    broker = KafkaBroker(tmp_path / "kafka").start()
    yield broker
    if broker.process is not None:
        broker.process.send_signal(signal.SIGCONT)
    broker.stop()


def serve_on(serve: Serve, broker: KafkaBroker, **settings: object) -> Served:
    create_topic(broker.bootstrap_servers, "events", 2, 1, {})
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
    return serve(kafka=kafka, topic="events", acknowledge_seconds=BOUND, **settings)


def pause(broker: KafkaBroker) -> None:
    assert broker.process is not None
    os.kill(broker.process.pid, signal.SIGSTOP)


def resume(broker: KafkaBroker) -> None:
    assert broker.process is not None
    os.kill(broker.process.pid, signal.SIGCONT)


def until_accepted(gateway: Served) -> None:
    """Send until one event is accepted. The test's time-out bounds it."""
    while gateway.post(run_event("again")).status_code != 201:
        time.sleep(0.1)


def test_a_silent_broker_is_503_within_the_bound_and_201_after_it(serve: Serve, own_broker: KafkaBroker) -> None:
    gateway = serve_on(serve, own_broker)
    assert gateway.post(run_event()).status_code == 201
    pause(own_broker)
    started = time.monotonic()
    one = gateway.post(run_event("lost"))
    many = gateway.batch([run_event("lost"), run_event("lost")])
    took = time.monotonic() - started
    assert (one.status_code, many.status_code) == (503, 503)
    assert one.headers["retry-after"] == many.headers["retry-after"] == "2"
    # Two bounds, and room for a machine that is busy with other things; clients give up at 5 s each.
    assert took < 2 * BOUND + 3
    resume(own_broker)
    until_accepted(gateway)


def test_a_broker_that_dies_and_comes_back_loses_nothing_acknowledged(serve: Serve, own_broker: KafkaBroker) -> None:
    gateway = serve_on(serve, own_broker)
    acknowledged: list[str] = []
    statuses: set[int] = set()
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            event = run_event()
            status = gateway.post(event).status_code
            statuses.add(status)
            if status == 201:
                acknowledged.append(event["run"]["runId"])

    senders = [threading.Thread(target=send) for _ in range(8)]
    for sender in senders:
        sender.start()
    while len(acknowledged) < 200:
        time.sleep(0.01)
    own_broker.kill9()
    while 503 not in statuses:
        time.sleep(0.01)
    own_broker.start()
    before = len(acknowledged)
    while len(acknowledged) < before + 200:
        time.sleep(0.01)
    stop.set()
    for sender in senders:
        sender.join()
    assert statuses == {201, 503}
    stored = [record["run"]["id"] for record in gateway.records()]
    assert set(acknowledged) <= set(stored)
    # One delivery each: a retry of the producer is no second record.
    assert len(stored) == len(set(stored))


def test_a_full_queue_is_503_at_once(serve: Serve, own_broker: KafkaBroker) -> None:
    gateway = serve_on(serve, own_broker, queue_bytes=1 << 20)
    assert gateway.post(run_event()).status_code == 201
    pause(own_broker)
    events = [run_event(pad="x" * 200_000) for _ in range(20)]
    answer = gateway.batch(events)
    assert answer.status_code == 503
    resume(own_broker)
    until_accepted(gateway)


def test_bodies_beyond_the_budget_are_503(serve: Serve) -> None:
    gateway = serve(pending_bytes=300_000, max_body_bytes=300_000)
    large = run_event(pad="x" * 200_000)
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=20) as unfinished:
        unfinished.sendall(head(gateway, 250_000) + b" " * 200_000)
        answer = gateway.post(large)
        while answer.status_code == 201:
            answer = gateway.post(large)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        unfinished.sendall(b" " * 50_000)
        assert unfinished.recv(1000).startswith(b"HTTP/1.1 400")
    assert gateway.post(large).status_code == 201


def test_a_topic_that_is_not_there_is_503(serve: Serve) -> None:
    gateway = serve(topic="no-such-topic", acknowledge_seconds=0.5)
    answer = gateway.post(run_event())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_no_broker_at_all_is_503_and_not_ready(serve: Serve) -> None:
    gateway = serve(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"), topic="t", acknowledge_seconds=0.5)
    assert gateway.post(run_event()).status_code == 503
    assert gateway.client.get("/health").status_code == 503


def test_an_event_that_kafka_will_never_take_is_not_to_be_retried(serve: Serve, make_topic: object) -> None:
    topic = make_topic(name="small", partitions=1, max_message_bytes="2000")  # type: ignore[operator]
    gateway = serve(topic=topic)
    pads = [os.urandom(5000).hex(), "x"]
    large, small = (run_event(pad=pad) for pad in pads)
    assert gateway.post(large).status_code == 413
    assert gateway.post(small).status_code == 201
    answer = gateway.batch([large])
    assert answer.status_code == 200
    assert answer.json()["failed_events"][0]["retriable"] is False
    assert "MSG_SIZE_TOO_LARGE" in answer.json()["failed_events"][0]["reason"]
