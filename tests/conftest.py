"""Real parts for every test: one embedded broker for the session, topics of their own per test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from proventrail.embedded.broker import KafkaBroker, KafkaCluster
from proventrail.schemas.settings import KafkaSettings

MakeTopic = Callable[..., str]


@pytest.fixture(scope="session")
def repo_dir() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_dir(repo_dir: Path) -> Path:
    """Real events that are not part of the project."""
    shared = repo_dir.parent / "shared"
    if not (shared / "openlineage").is_dir():
        pytest.skip("needs ../shared/openlineage, which a user does not have")
    return shared


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """The session's broker, started by the first test that asks for it."""
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka")).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three nodes; a test that kills one starts it again."""
    cluster = KafkaCluster(tmp_path_factory.mktemp("cluster")).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def kafka_settings(kafka: KafkaBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


def create_topic(bootstrap_servers: str, name: str, partitions: int, replication: int, config: dict[str, str]) -> None:
    """Create a topic and wait until every partition has a leader."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=config)
    admin.create_topics([topic], operation_timeout=20)[name].result()
    while True:
        found = admin.list_topics(name, timeout=10).topics[name]
        if found.error is None and len(found.partitions) == partitions:
            return


@pytest.fixture
def make_topic(kafka: KafkaBroker) -> MakeTopic:
    """`make_topic(name="t", partitions=1, **config)` creates a topic with a unique name and gives the name."""

    def make(name: str = "t", partitions: int = 1, **config: str) -> str:
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        create_topic(
            kafka.bootstrap_servers, unique, partitions, 1, {k.replace("_", "."): v for k, v in config.items()}
        )
        return unique

    return make
