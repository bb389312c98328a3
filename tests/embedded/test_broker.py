"""The embedded broker keeps what it acknowledged, over kill -9 and restart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from proventrail.embedded.broker import KafkaBroker, KafkaCluster
from proventrail.embedded.kafka_jars import BrokerError, kafka_jars, locked_sums, verify_jars
from tests.conftest import create_topic


def read_all(bootstrap_servers: str, topic: str, n: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "r", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values: list[bytes] = []
    while len(values) < n:
        found = consumer.consume(1000, timeout=20)
        assert found, f"{len(values)} of {n} records came back"
        values += [message.value() for message in found]
    consumer.close()
    return values


def produce(bootstrap_servers: str, topic: str, values: list[bytes]) -> list[bytes]:
    acknowledged: list[bytes] = []
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda e, m: acknowledged.append(m.value()) if not e else None)
        producer.poll(0)
    producer.flush(30)
    return acknowledged


def test_acknowledged_records_survive_kill_9(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "k").start()
    create_topic(broker.bootstrap_servers, "t", 1, 1, {})
    sent = [b"%d" % i for i in range(5000)]
    assert produce(broker.bootstrap_servers, "t", sent) == sent
    broker.kill9()
    broker.start()
    assert read_all(broker.bootstrap_servers, "t", len(sent)) == sent
    broker.stop()


def test_a_second_broker_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = KafkaBroker(tmp_path / "k").start()
    second = KafkaBroker(tmp_path / "k")
    with pytest.raises(BrokerError, match=r"kafka\.log"):
        second.start()
    first.stop()


def test_a_changed_jar_is_named(tmp_path: Path) -> None:
    for jar in kafka_jars():
        shutil.copy(jar, tmp_path / jar.name)
    changed = tmp_path / sorted(locked_sums())[0]
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    with pytest.raises(BrokerError, match=changed.name):
        kafka_jars(tmp_path)


def test_missing_and_unknown_jars_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="missing"):
        verify_jars([])
    (tmp_path / "evil.jar").write_bytes(b"")
    with pytest.raises(BrokerError, match=r"not in the lock file: evil\.jar"):
        verify_jars([*kafka_jars(), tmp_path / "evil.jar"])


@pytest.mark.faults
def test_a_cluster_of_three_serves_with_one_node_killed(tmp_path: Path) -> None:
    cluster = KafkaCluster(tmp_path).start()
    create_topic(cluster.bootstrap_servers, "t", 1, 3, {"min.insync.replicas": "2"})
    first = produce(cluster.bootstrap_servers, "t", [b"a"] * 100)
    cluster.nodes[0].kill9()
    second = produce(cluster.bootstrap_servers, "t", [b"b"] * 100)
    assert read_all(cluster.bootstrap_servers, "t", 200) == first + second
    cluster.stop()
