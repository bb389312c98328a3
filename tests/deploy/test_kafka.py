"""The three brokers of docker-compose.yml, run here: the image's own set-up program makes their configuration.

Apache Kafka's image calls `kafka.docker.KafkaDockerWrapper`, which is in the jars of the embedded broker. Only
addresses, data folders and the heap are not those of the file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from proventrail.cli.app import cli
from proventrail.embedded import process
from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.broker import free_port
from proventrail.embedded.java import java_executable
from proventrail.embedded.kafka_jars import kafka_jars
from proventrail.embedded.probes import http_ready
from proventrail.embedded.server_properties import server_properties
from proventrail.schemas.topics import LINEAGE_EVENTS, OPENLINEAGE, RAW_TOPICS, REFINED, topic_specs
from proventrail.streaming.access import ROLES
from tests.deploy.composed import env_file, environment_here

pytestmark = pytest.mark.interop

Services = dict[str, dict[str, Any]]

NODES = ("kafka-1", "kafka-2", "kafka-3")
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Cluster:
    """What runs: `properties` is node name -> the configuration that the image's program made for it."""

    bootstrap_servers: str
    properties: dict[str, dict[str, str]]
    secrets: dict[str, str]

    def client(self, user: str, password: str | None = None) -> dict[str, Any]:
        """A confluent-kafka configuration for `user`."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": password or self.secrets[f"KAFKA_{user.upper()}_PASSWORD"],
            "log_level": 2,
        }


def _here(text: str, ports: dict[tuple[str, str], int], node: str) -> str:
    """Addresses of the file as addresses of this machine: each node's ports are its own."""
    text = re.sub(r"//:(\d+)", lambda m: f"//127.0.0.1:{ports[node, m[1]]}", text)
    return re.sub(r"(kafka-\d):(\d+)", lambda m: f"127.0.0.1:{ports[m[1], m[2]]}", text)


def _java() -> list[str]:
    classes = os.pathsep.join(map(str, kafka_jars()))
    return [str(java_executable(None)), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes]


def _set_up(service: dict[str, Any], environment: dict[str, str], folder: Path, repo_dir: Path) -> Path:
    """Run the image's set-up of one node, as its start script does; gives the configuration that it made."""
    defaults, mounted, final = folder / "defaults", folder / "mounted", folder / "final"
    for directory in (defaults, mounted, final):
        directory.mkdir(parents=True)
    for source, target, _ in (mount.split(":") for mount in service["volumes"] if mount.startswith("./")):
        assert Path(target).parent == Path("/mnt/shared/config")
        (mounted / Path(target).name).write_bytes((repo_dir / source).read_bytes())
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (defaults / name).write_text("Configuration:\n  Loggers:\n    Root:\n      level: warn\n")
    places = (("default", defaults), ("mounted", mounted), ("final", final))
    arguments = [f"--{name}-configs-dir={place}" for name, place in places]
    command = [*_java(), "kafka.docker.KafkaDockerWrapper", "setup", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return final / "server.properties"


@pytest.fixture(scope="module")
def cluster(
    composed: Services, dot_env: Path, repo_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("kafka")
    ports = {(node, port): free_port() for node in NODES for port in ("9092", "9093", "9094")}
    running, properties = [], {}
    try:
        for node in NODES:
            given = composed[node]["environment"]
            environment = {name: _here(value, ports, node) for name, value in given.items()}
            environment["KAFKA_LOG_DIRS"] = str(folder / node / "data")
            file = _set_up(composed[node], environment, folder / node, repo_dir)
            properties[node] = env_file(file)
            command = [*_java(), f"-Djava.io.tmpdir={folder / node}", "kafka.Kafka", str(file)]
            running.append(process.spawn(command, BoundedLog(folder / node / "kafka.log")))
        servers = ",".join(f"127.0.0.1:{ports[node, '9092']}" for node in NODES)
        cluster = Cluster(servers, properties, env_file(dot_env))
        _wait(cluster, folder)
        yield cluster
    finally:
        for one in running:
            process.kill_session(one)
            one.wait()


def _wait(cluster: Cluster, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            admin = AdminClient({**cluster.client("proventrail"), "log_level": 0})
            if len(admin.list_topics(timeout=5).brokers) == len(NODES):
                return
        except KafkaException:
            time.sleep(0.5)
    logs = "\n".join(BoundedLog(folder / node / "kafka.log").last_lines() for node in NODES)
    pytest.fail(f"the cluster did not start: {logs}")


@pytest.fixture(scope="module")
def topics(cluster: Cluster, composed: Services) -> str:
    """What the job `topics` prints, run with its own command and environment."""
    service = composed["topics"]
    environment = {**service["environment"], "PROVENTRAIL_BOOTSTRAP_SERVERS": cluster.bootstrap_servers}
    done = CliRunner().invoke(cli, service["command"], env=environment, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_settings_are_those_of_the_fault_suites_cluster(cluster: Cluster, tmp_path: Path) -> None:
    """Besides addresses, passwords and the sizes for a small machine."""
    file = tmp_path / "server.properties"
    file.write_text(server_properties(tmp_path, 1, 1, 2, {1: 2, 2: 3, 3: 4}, {}))
    tested = env_file(file)
    for node in NODES:
        made = cluster.properties[node]
        different = {name for name in tested.keys() & made.keys() if tested[name] != made[name]}
        places = {"listeners", "advertised.listeners", "listener.security.protocol.map", "log.dirs", "node.id"}
        assert different - {"controller.quorum.voters"} <= places
        small = {"broker.heartbeat.interval.ms", "broker.session.timeout.ms", "num.io.threads", "num.network.threads"}
        small |= {"background.threads", "log.cleaner.dedupe.buffer.size", "log.cleaner.threads", "num.replica.fetchers"}
        small |= {"offsets.topic.num.partitions", "transaction.state.log.num.partitions"}
        assert tested.keys() - made.keys() == small | {"share.coordinator.state.topic.num.partitions"}


def test_every_setting_is_one_that_kafka_knows(cluster: Cluster) -> None:
    admin = AdminClient(cluster.client("proventrail"))
    for number, node in enumerate(NODES, 1):
        resource = ConfigResource(ResourceType.BROKER, str(number))
        known = admin.describe_configs([resource])[resource].result(timeout=60)
        own = {name: value for name, value in cluster.properties[node].items() if not name.startswith("listener.name.")}
        assert own.keys() - known.keys() <= {"heap.opts"}
        other = {name for name in own.keys() & known.keys() if known[name].value not in (own[name], None)}
        assert not other, {name: (own[name], known[name].value) for name in other}


def test_the_job_makes_the_topics_three_times_replicated(cluster: Cluster, topics: str) -> None:
    assert LINEAGE_EVENTS in topics
    found = AdminClient(cluster.client("proventrail")).list_topics(timeout=30).topics
    partitions = found[LINEAGE_EVENTS].partitions
    assert len(partitions) == 12
    assert all(len(partition.replicas) == 3 for partition in partitions.values())


def send(config: dict[str, Any], topic: str) -> KafkaError | None:
    """The error of a message that is sent to `topic`, None if it was acknowledged."""
    told: list[KafkaError | None] = []

    def tell(error: KafkaError | None, _: Message) -> None:
        told.append(error)

    producer = Producer({**config, "enable.idempotence": True, "message.timeout.ms": 30_000})
    producer.produce(topic, b"{}", key=b"k", on_delivery=tell)
    producer.flush(60)
    assert len(told) == 1
    return told[0]


def test_a_producer_may_write_raw_events_and_nothing_else(cluster: Cluster, topics: str) -> None:
    producer = cluster.client("producer")
    assert _settled(lambda: send(producer, LINEAGE_EVENTS) is None)
    assert send(producer, OPENLINEAGE) is None
    refused = send(producer, REFINED)
    assert refused is not None
    assert refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


USERS = {"refine": "refine", "sink": "sink", "gateway": "producer", "producer": "producer", "consumer": "consumer"}
"""User of the file -> its role."""


def read_error(config: dict[str, Any], topic: str, group: str) -> KafkaError | None:
    """The error of reading `topic` in a group; None if a record or an end was read."""
    given = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({**config, **given, "enable.partition.eof": True})
    # librdkafka tells of a topic that it may not see where it is subscribed, not where it is assigned.
    consumer.subscribe([topic])
    message = consumer.poll(60)
    consumer.close()
    assert message is not None
    error = message.error()
    return None if error is None or error.code() == KafkaError._PARTITION_EOF else error


@pytest.mark.parametrize("user", ["sink", "gateway", "producer", "consumer"])
@pytest.mark.parametrize("topic", RAW_TOPICS)
def test_none_but_refine_may_read_raw_events(cluster: Cluster, topics: str, user: str, topic: str) -> None:
    error = read_error(cluster.client(user), topic, f"{user}-of-a-test")
    assert error is not None
    assert error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


def test_a_consumer_reads_refined_events_in_a_group_of_its_own(cluster: Cluster, topics: str) -> None:
    consumer = cluster.client("consumer")
    assert _settled(lambda: read_error(consumer, REFINED, "consumer-reports") is None)
    refused = read_error(consumer, REFINED, "proventrail-sink")
    assert refused is not None
    assert refused.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def _settled(condition: Callable[[], bool]) -> bool:
    """Whether it comes true: an ACL reaches the brokers a moment after it was made."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


def operations(config: dict[str, Any], topic: str) -> set[AclOperation]:
    """What Kafka says that a user may do with a topic."""
    admin = AdminClient(config)
    asked = admin.describe_topics(TopicCollection([topic]), include_authorized_operations=True, request_timeout=30)
    try:
        return set(asked[topic].result().authorized_operations)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise
        return set()


@pytest.mark.parametrize("user", USERS)
def test_a_user_may_do_with_each_topic_what_its_role_says(cluster: Cluster, topics: str, user: str) -> None:
    role = ROLES[USERS[user]]
    for topic in (spec.name for spec in topic_specs()):
        expected = {AclOperation.READ} if topic in role.reads else set()
        expected |= {AclOperation.WRITE} if topic in role.writes else set()
        expected |= {AclOperation.DESCRIBE} if expected else set()
        assert _settled(lambda: operations(cluster.client(user), topic) == expected), (topic, expected)  # noqa: B023


@pytest.mark.parametrize("user", ["proventrail", *USERS, "broker", "nobody"])
def test_a_wrong_password_is_refused(cluster: Cluster, user: str) -> None:
    """The user `broker` is none of this listener's, whatever the password."""
    errors: list[KafkaError] = []
    password = cluster.secrets["KAFKA_BROKER_PASSWORD"] if user == "broker" else "x" * 64
    admin = AdminClient({**cluster.client(user, password), "log_level": 0, "error_cb": errors.append})
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=1)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not errors:
        admin.poll(0.1)
    assert KafkaError._AUTHENTICATION in {error.code() for error in errors}


@contextmanager
def running(service: Mapping[str, Any], cluster: Cluster, replace: Mapping[str, str], folder: Path) -> Iterator[None]:
    """A process of the file with its own command and environment, but the addresses that `replace` names."""
    command = [replace.get(argument, argument) for argument in service["command"]]
    command = [argument for argument in command if argument]
    environment = {
        **environment_here(service, Path(__file__).parents[2]),
        "PROVENTRAIL_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "PROVENTRAIL_DATA_DIR": str(folder / "data"),
        # No registry runs here: tests/interop/test_schema_registry.py has one.
        "PROVENTRAIL_SCHEMA_REGISTRY_URL": "",
    }
    log = BoundedLog(folder / f"{command[0]}.log")
    started = process.spawn([sys.executable, "-m", "proventrail.cli", *command], log, environment)
    try:
        yield
    except BaseException:
        print(log.last_lines())
        raise
    finally:
        assert process.stop(started, 60) == 0, log.last_lines()


def probe(service: Mapping[str, Any], port: str, here: int) -> int:
    """Exit code of the health check of the file, asked at another port."""
    _, program, *arguments = service["healthcheck"]["test"]
    assert program == "python"
    command = [sys.executable, *(argument.replace(f":{port}/", f":{here}/") for argument in arguments)]
    return subprocess.run(command, timeout=60, check=False, capture_output=True).returncode


def test_the_health_check_fails_where_nothing_answers(composed: Services) -> None:
    assert probe(composed["sink-1"], "9100", free_port()) == 1


def test_the_stages_work_with_their_passwords(
    cluster: Cluster, topics: str, composed: Services, tmp_path: Path
) -> None:
    """Gateway, refine and sink as they stand in the file: an event goes in by HTTP and comes out refined.

    The sink has the embedded store here, for want of a ClickHouse server.
    """
    status, port, sink_status = free_port(), free_port(), free_port()
    here = {"0.0.0.0": "127.0.0.1", "9100": str(status), "--host=0.0.0.0": "", "--port=5000": f"--port={port}"}
    others = {argument: "" for argument in composed["gateway"]["command"] if argument.startswith("--stage=")}
    others["--stage=refine-1=http://refine-1:9100/health"] = f"--stage=refine-1=http://127.0.0.1:{status}/health"
    event = {
        "eventType": "COMPLETE",
        "eventTime": "2026-11-24T09:30:00Z",
        "run": {"runId": "0193a0c6-0000-7000-8000-000000000001"},
        "job": {"namespace": "n", "name": "j"},
        "producer": "https://example.org",
    }
    sink_here = {**here, "9100": str(sink_status)}
    embedded = {**composed["sink-1"]["environment"], "PROVENTRAIL_CLICKHOUSE_URL": ""}
    with (
        running({**composed["sink-1"], "environment": embedded}, cluster, sink_here, tmp_path),
        running(composed["refine-1"], cluster, here, tmp_path),
        running(composed["gateway"], cluster, {**here, **others}, tmp_path),
    ):
        deadline = time.monotonic() + 90
        while not http_ready(port)() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert probe(composed["refine-1"], "9100", status) == 0
        assert probe(composed["gateway"], "5000", port) == 0
        url, token = f"http://127.0.0.1:{port}", cluster.secrets["PROVENTRAIL_TOKEN"]
        assert httpx.get(f"{url}/health").json()["stages"].keys() == {"gateway", "refine-1"}
        assert httpx.post(f"{url}/api/v1/lineage", json=event).status_code == 401
        answer = httpx.post(
            f"{url}/api/v1/lineage", json=event, headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        assert answer.status_code == 201, answer.text
        reader = Consumer({**cluster.client("consumer"), "group.id": "consumer-test", "auto.offset.reset": "earliest"})
        reader.assign([TopicPartition(REFINED, partition, 0) for partition in range(12)])
        message = reader.poll(60)
        reader.close()
        assert probe(composed["sink-1"], "9100", sink_status) == 0
    assert message is not None
    assert message.error() is None
