"""The embedded broker keeps what it acknowledged, over kill -9 and restart, and says why it does not start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from proventrail.embedded.broker import KafkaBroker, free_port, new_cluster_id
from proventrail.embedded.cluster import KafkaCluster
from proventrail.embedded.errors import BrokerError
from tests.conftest import create_topic


def read_all(bootstrap_servers: str, topic: str, n: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "r", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values: list[bytes] = []
    while len(values) < n:
        found = consumer.consume(min(1000, n - len(values)), timeout=20)
        assert found, f"{len(values)} of {n} records came back"
        values += [message.value() for message in found]
    consumer.close()
    return values


def produce(bootstrap_servers: str, topic: str, values: list[bytes]) -> list[bytes]:
    """What was acknowledged, in order."""
    acknowledged: list[bytes] = []
    limit = 12 << 20
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "message.max.bytes": limit, "log_level": 0}
    )
    for value in values:
        producer.produce(topic, value, on_delivery=lambda e, m: acknowledged.append(m.value()) if not e else None)
        producer.poll(0)
    producer.flush(30)
    return acknowledged


def broker_config(broker: KafkaBroker) -> dict[str, str]:
    """The settings that the broker says it has."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    resource = ConfigResource(ResourceType.BROKER, str(broker.node_id))
    return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result().items()}


def test_acknowledged_records_survive_kill_9(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "k").start()
    create_topic(broker.bootstrap_servers, "t")
    sent = [b"%d" % i for i in range(5000)]
    assert produce(broker.bootstrap_servers, "t", sent) == sent
    broker.kill9()
    broker.start()
    assert read_all(broker.bootstrap_servers, "t", len(sent)) == sent
    broker.stop()


def test_records_survive_a_move_to_another_port(tmp_path: Path) -> None:
    """A later `up` may be given another port; the broker's controller port changes with each start anyway."""
    first = KafkaBroker(tmp_path / "k").start()
    create_topic(first.bootstrap_servers, "t")
    produce(first.bootstrap_servers, "t", [b"a"])
    first.stop()
    second = KafkaBroker(tmp_path / "k").start()
    assert second.port != first.port
    assert read_all(second.bootstrap_servers, "t", 1) == [b"a"]
    second.stop()


def test_a_folder_with_an_unusual_name_works(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "Größe 50% = \\ ログ 🎉").start()
    assert broker.answers()
    broker.stop()
    assert (broker.data_dir / "log" / "meta.properties").exists()


def test_a_folder_with_a_comma_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="comma"):
        KafkaBroker(tmp_path / "a,b").start()


def test_a_second_broker_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = KafkaBroker(tmp_path / "k").start()
    with pytest.raises(BrokerError, match="another broker runs on"):
        KafkaBroker(tmp_path / "k").start()
    assert first.answers()
    first.stop()


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} of 127.0.0.1 is in use"):
            KafkaBroker(tmp_path / "k", port=port).start()


def test_a_broker_that_ends_says_why(tmp_path: Path) -> None:
    """The folder belongs to another cluster's node: Kafka's own words reach the error."""
    KafkaBroker(tmp_path / "k").start().stop()
    with pytest.raises(BrokerError, match=r"kafka\.log ends:\n(.*\n)*.*node.id"):
        KafkaBroker(tmp_path / "k", node_id=7).start()


def test_an_interrupted_format_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "k" / "log.new").mkdir(parents=True)
    (tmp_path / "k" / "log.new" / "meta.properties").write_text("half of it")
    broker = KafkaBroker(tmp_path / "k").start()
    assert broker.answers()
    broker.stop()


def test_it_listens_on_the_loopback_interface_alone(kafka: KafkaBroker) -> None:
    text = (kafka.data_dir / "server.properties").read_text()
    listeners = next(line for line in text.splitlines() if line.startswith("listeners="))
    assert [part.split("//")[1].split(":")[0] for part in listeners.split(",")] == ["127.0.0.1", "127.0.0.1"]


def test_events_of_ten_mebibytes_pass(kafka: KafkaBroker, make_topic) -> None:
    topic = make_topic()
    big = os.urandom(10 << 20)
    assert produce(kafka.bootstrap_servers, topic, [big]) == [big]
    assert read_all(kafka.bootstrap_servers, topic, 1) == [big]


def test_disk_use_is_bounded_and_topics_are_not_made_by_typing_errors(kafka: KafkaBroker) -> None:
    config = broker_config(kafka)
    assert int(config["log.retention.bytes"]) == 1 << 30
    assert int(config["log.retention.ms"]) == 7 * 24 * 3600 * 1000
    assert config["auto.create.topics.enable"] == "false"


def test_every_setting_is_one_that_kafka_knows(kafka: KafkaBroker, repo_dir: Path) -> None:
    """Kafka passes over a name with a typing error without a word, in the files for production too."""
    known = broker_config(kafka).keys()
    lines = (kafka.data_dir / "server.properties").read_text().splitlines()
    own = {line.partition("=")[0] for line in lines if not line.startswith("#")}
    lines = (repo_dir / "deploy" / "kafka" / "cluster.env").read_text().splitlines()
    production = {line.partition("=")[0].removeprefix("KAFKA_") for line in lines if not line.startswith("#")}
    assert own - known == set()
    # The authorizer reads its own settings.
    assert {name.lower().replace("_", ".") for name in production} - known == {"super.users"}


def test_own_settings_come_on_top(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "k", properties={"log.retention.ms": 60_000, "num.io.threads": 3}).start()
    config = broker_config(broker)
    assert (config["log.retention.ms"], config["num.io.threads"]) == ("60000", "3")
    broker.stop()


def test_stop_ends_a_broker_that_does_not_end_by_itself(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "k").start()
    process = broker.process
    broker.stop(timeout=0)
    assert process is not None
    assert process.returncode is not None


def test_the_broker_ends_with_its_parent(tmp_path: Path) -> None:
    """Python killed by -9 leaves no broker behind that blocks the next start."""
    port = free_port()
    script = f"""
        import os, signal, pathlib
        from proventrail.embedded.broker import KafkaBroker
        KafkaBroker(pathlib.Path({str(tmp_path / "k")!r}), port={port}).start()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -9
    broker = KafkaBroker(tmp_path / "k", port=port).start()
    broker.stop()


def test_cluster_ids_never_look_like_an_option() -> None:
    assert not [text for text in (new_cluster_id() for _ in range(2000)) if text.startswith("-") or len(text) != 22]


@pytest.mark.faults
def test_a_cluster_of_three_serves_with_one_node_killed(kafka_cluster: KafkaCluster, make_cluster_topic) -> None:
    topic = make_cluster_topic(min_insync_replicas=2)
    servers = kafka_cluster.bootstrap_servers
    first = produce(servers, topic, [b"a"] * 100)
    kafka_cluster.kill9(0)
    second = produce(servers, topic, [b"b"] * 100)
    assert read_all(servers, topic, 200) == first + second == [b"a"] * 100 + [b"b"] * 100
    kafka_cluster.start(0)
    assert all(node.answers() for node in kafka_cluster.nodes)
