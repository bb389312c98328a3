"""Brokers that give refine its input and do not take what it produces: it waits, and stays in its group."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from proventrail.embedded.cluster import KafkaCluster
from proventrail.schemas.topics import TopicSpec
from proventrail.streaming.admin import ensure_topics

from ..conftest import MakeTopic
from ..stream_processors.test_process import Bench, event

pytestmark = pytest.mark.faults


@pytest.fixture
def bench(kafka_cluster: KafkaCluster, make_cluster_topic: MakeTopic) -> Iterator[Bench]:
    """Three brokers, of which the refined topic needs all, and the others two."""
    bench = Bench(kafka_cluster.bootstrap_servers, make_cluster_topic)
    ensure_topics(bench.settings, [TopicSpec(bench.refined, bench.partitions, 3, {"min.insync.replicas": "3"})])
    yield bench
    bench.end()


def wait_until_it_waits(bench: Bench) -> None:
    deadline = time.monotonic() + 60
    process = bench.processes[0]
    while "do not take" not in process.ready()[1]:
        assert time.monotonic() < deadline, (process.ready(), bench.failures)
        time.sleep(0.05)


def test_it_waits_and_stays_in_its_group(bench: Bench, kafka_cluster: KafkaCluster) -> None:
    kafka_cluster.kill9(2)
    bench.start(consumer_config={"max.poll.interval.ms": 10_000})
    bench.send([event(i) for i in range(100)])
    wait_until_it_waits(bench)
    time.sleep(13)
    bench.send([event(i) for i in range(100, 200)])
    assert not bench.processes[0].ready()[0]
    kafka_cluster.start(2)
    assert bench.coordinates(200) == {(p, o) for p in range(2) for o in range(100)}
    bench.end()
    assert not bench.failures


def test_it_can_be_stopped_and_goes_on_later(bench: Bench, kafka_cluster: KafkaCluster) -> None:
    kafka_cluster.kill9(2)
    end = bench.start(drain_seconds=1.0)
    bench.send([event(i) for i in range(100)])
    wait_until_it_waits(bench)
    end()
    kafka_cluster.start(2)
    bench.start()
    assert bench.coordinates(100) == {(p, o) for p in range(2) for o in range(50)}
    assert not bench.failures


@pytest.mark.parametrize("partition", [0, 1])
def test_a_partition_may_go_to_another_worker_meanwhile(
    bench: Bench, kafka_cluster: KafkaCluster, partition: int
) -> None:
    """One of the two goes: in one of the cases it is the one whose records are not taken."""
    kafka_cluster.kill9(2)
    bench.start(drain_seconds=1.0)
    bench.send([event(i) for i in range(50)], partition)
    wait_until_it_waits(bench)
    bench.start(drain_seconds=1.0)
    bench.wait(lambda: bench.processes[1].ready()[1] == "1 partitions")
    kafka_cluster.start(2)
    assert bench.coordinates(50) == {(partition, o) for o in range(50)}
    bench.end()
    assert not bench.failures
