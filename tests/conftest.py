"""Real parts for every test: one embedded broker for the session, topics of their own for each test.

`kafka`: the session's `KafkaBroker`, started by the first test that asks; `.bootstrap_servers`. `kafka_settings` for
it. `make_topic(partitions=1, name="t", **config)` (also `topic_factory`): creates a topic with a unique name and
gives the name; `retention_ms=1000` sets `retention.ms`.
`kafka_cluster`: a `KafkaCluster` of three nodes for the module, with `.kill9(i)` and `.start(i)`, i from 0; a node that
a test has killed is started again after it. `make_cluster_topic`: as `make_topic`, there, on all nodes.
`engine`, `store`: the one chDB engine of the session (a process has only one), and a client of it.
`repo_dir`, `shared_dir` (skips where there is none), `recorded_dir`: folders.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import settings

from proventrail.embedded.broker import KafkaBroker
from proventrail.embedded.cluster import KafkaCluster
from proventrail.schemas.settings import KafkaSettings
from proventrail.storage.engine import Engine
from proventrail.storage.store import ClientStore

MakeTopic = Callable[..., str]

# The machine may be busy with something else: no test asserts on speed.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


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
def recorded_dir(repo_dir: Path) -> Path:
    """Our own recordings of OpenLineage events: in the repository, else where they were recorded."""
    for folder in (repo_dir / "examples" / "recorded", repo_dir.parent / "shared" / "recorded"):
        if folder.is_dir():
            return folder
    pytest.skip("needs examples/recorded or ../shared/recorded")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka")).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("store"))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def store(engine: Engine) -> Iterator[ClientStore]:
    store = engine.store()
    yield store
    store.close()


@pytest.fixture
def kafka_settings(kafka: KafkaBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    cluster = KafkaCluster(tmp_path_factory.mktemp("cluster")).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def kafka_cluster(_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    yield _cluster
    _cluster.start()


def create_topic(
    bootstrap_servers: str, name: str, partitions: int = 1, replication: int = 1, config: dict[str, str] | None = None
) -> None:
    """Create a topic and wait until every partition has a leader that the metadata names."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=config or {})
    admin.create_topics([topic], operation_timeout=20)[name].result()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = admin.list_topics(name, timeout=10).topics[name]
        led = [p for p in found.partitions.values() if p.leader >= 0]
        if found.error is None and len(led) == partitions:
            return
        time.sleep(0.02)
    pytest.fail(f"topic {name} has no leader for each of its {partitions} partitions")


def _topic_maker(bootstrap_servers: str, replication: int) -> MakeTopic:
    def make(partitions: int = 1, name: str = "t", **config: object) -> str:
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        dotted = {key.replace("_", "."): str(value) for key, value in config.items()}
        create_topic(bootstrap_servers, unique, partitions, replication, dotted)
        return unique

    return make


@pytest.fixture
def make_topic(kafka: KafkaBroker) -> MakeTopic:
    """Creates a topic with a unique name on the session's broker and gives the name."""
    return _topic_maker(kafka.bootstrap_servers, 1)


@pytest.fixture
def topic_factory(make_topic: MakeTopic) -> MakeTopic:
    return make_topic


@pytest.fixture
def make_cluster_topic(kafka_cluster: KafkaCluster) -> MakeTopic:
    """Creates a topic with a unique name on the cluster, replicated to all of its nodes."""
    return _topic_maker(kafka_cluster.bootstrap_servers, len(kafka_cluster.nodes))
