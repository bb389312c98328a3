"""Brokers that die, and topics that are deleted and made again, while events flow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from proventrail.embedded.broker import KafkaBroker
from proventrail.embedded.cluster import KafkaCluster
from proventrail.schemas.topics import LINEAGE_EVENTS, OPENLINEAGE

from .account import check, wait_stored
from .load import Load, Outcome, Sender
from .road import Road
from .sending import Sending

pytestmark = pytest.mark.faults

NAMES = ("refine-0", "refine-1", "sink")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[KafkaBroker, Road]]:
    broker = KafkaBroker(tmp_path / "kafka").start()
    road = Road(tmp_path / "road", broker.bootstrap_servers)
    yield broker, road
    road.stop()
    broker.stop()


def test_the_only_broker_is_killed_and_comes_back(alone: tuple[KafkaBroker, Road]) -> None:
    broker, road = alone
    for name in NAMES:
        road.start(name)
    load = Load(11, 15_000)
    sending = Sending(road.servers, load, 12)
    for _ in range(3):
        time.sleep(2.5)
        broker.kill9()
        time.sleep(0.5)
        broker.start()
    sending.finish()
    wait_stored(road.servers, 180, road.check_alive)
    check(road, road.store(), load.outcome)


def test_each_of_three_brokers_is_killed_and_comes_back(tmp_path: Path) -> None:
    cluster = KafkaCluster(tmp_path / "kafka").start()
    road = Road(tmp_path / "road", cluster.bootstrap_servers, replication=3)
    try:
        for name in NAMES:
            road.start(name)
        load = Load(12, 15_000)
        sending = Sending(road.servers, load, 15)
        for node in range(3):
            time.sleep(2)
            cluster.kill9(node)
            time.sleep(2)
            cluster.start(node)
        sending.finish()
        wait_stored(road.servers, 180, road.check_alive)
        check(road, road.store(), load.outcome)
    finally:
        road.stop()
        cluster.stop()


def test_raw_topics_are_deleted_and_made_again(alone: tuple[KafkaBroker, Road]) -> None:
    """All that was read before is kept, all that comes after is stored, though both count from 0."""
    _, road = alone
    for name in NAMES:
        road.start(name)
    outcome = Outcome()
    for seed, runs in ((21, 3000), (22, 1000), (23, 5000)):
        load = Load(seed, runs)
        sender = Sender(road.servers, load.outcome)
        sender.send(load.records)
        sender.finish()
        wait_stored(road.servers, 120, road.check_alive)
        outcome.add(load.outcome)
        check(road, road.store(), outcome)
        admin = AdminClient({"bootstrap.servers": road.servers})
        for future in admin.delete_topics([LINEAGE_EVENTS, OPENLINEAGE]).values():
            future.result()
        time.sleep(2)
        road.make_topics()
        road.check_alive()
