"""Workers that are killed at random points, join and leave: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proventrail.embedded.broker import KafkaBroker
from proventrail.embedded.cluster import KafkaCluster

from .account import check, wait_stored
from .load import Load
from .road import Road
from .sending import Sending

pytestmark = pytest.mark.faults


@pytest.fixture(params=["one node", "three nodes"])
def road(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Road]:
    """The pipeline on a broker alone, and on three."""
    alone = request.param == "one node"
    brokers = KafkaBroker(tmp_path / "kafka").start() if alone else KafkaCluster(tmp_path / "kafka").start()
    road = Road(tmp_path / "road", brokers.bootstrap_servers, 1 if alone else 3)
    yield road
    road.stop()
    brokers.stop()


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_are_killed_at_random_points(road: Road, seed: int) -> None:
    names = ["refine-0", "refine-1", "sink"]
    for name in names:
        road.start(name)
    load = Load(seed, 15_000, oversize=2)
    sending = Sending(road.servers, load, 15)
    rng = random.Random(seed)
    kills = 0
    while not sending.done or kills < 6:
        time.sleep(rng.uniform(0.3, 2.5))
        name = rng.choice(names)
        road.kill9(name)
        kills += 1
        time.sleep(rng.uniform(0, 0.5))
        road.start(name)
    sending.finish()
    wait_stored(road.servers, 120, road.check_alive)
    check(road, road.store(), load.outcome)


def test_workers_join_and_leave(road: Road) -> None:
    for name in ("refine-0", "sink"):
        road.start(name)
    load = Load(7, 15_000)
    sending = Sending(road.servers, load, 12)
    time.sleep(2)
    road.start("refine-1")
    time.sleep(2)
    road.start("refine-2")
    time.sleep(2)
    assert road.end("refine-0") == 0
    time.sleep(2)
    road.kill9("refine-1")
    time.sleep(1)
    road.start("refine-0")
    sending.finish()
    wait_stored(road.servers, 120, road.check_alive)
    check(road, road.store(), load.outcome)
    assert {name: road.end(name) for name in ("refine-0", "refine-2", "sink")} == dict.fromkeys(
        ("refine-0", "refine-2", "sink"), 0
    )
