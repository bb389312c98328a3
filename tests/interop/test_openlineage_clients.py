"""OpenLineage's own clients, unmodified, against a real gateway: what they send is what is stored.

Each client sends events, is told 503 while Kafka is silent, and tries again by itself until it is told 201.
The Python client runs in `make test`; the Java client, which is fetched, in `make test-interop`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    Dataset,
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
)
from openlineage.client.facet_v2 import column_lineage_dataset, parent_run, schema_dataset, sql_job
from openlineage.client.serde import Serde
from prometheus_client import REGISTRY

from proventrail.embedded.broker import KafkaBroker
from proventrail.embedded.kafka_jars import kafka_jars
from proventrail.gateway import client_configuration
from proventrail.schemas import avro, verdict
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.settings import KafkaSettings
from tests.conftest import MakeTopic, create_topic
from tests.gateway.conftest import Serve, Served, read_topic
from tests.gateway.conftest import serve as serve  # a fixture

JAVA_CLIENT = "io.openlineage:openlineage-java:1.54.0"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No client configuration but the test's own."""
    for name in list(os.environ):
        if name.startswith("OPENLINEAGE"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def some_events() -> list[Any]:
    """A run from START to COMPLETE and one that fails, a job event, a dataset event; with facets."""
    run = Run(
        str(uuid.uuid4()),
        {"parent": parent_run.ParentRunFacet(parent_run.Run(str(uuid.uuid4())), parent_run.Job("dags", "daily"))},
    )
    job = Job("shop", "orders", {"sql": sql_job.SQLJobFacet("INSERT INTO b SELECT * FROM a")})
    fields = [schema_dataset.SchemaDatasetFacetFields("prénom", "VARCHAR")]
    source = InputDataset("postgres://db:5432", "shop.public.a", {"schema": schema_dataset.SchemaDatasetFacet(fields)})
    origin = column_lineage_dataset.InputField("postgres://db:5432", "shop.public.a", "prénom")
    lineage = column_lineage_dataset.ColumnLineageDatasetFacet({"name": column_lineage_dataset.Fields([origin])})
    target = OutputDataset("s3://lake", "b", {"columnLineage": lineage})
    now = datetime.now(UTC).isoformat()
    states = (RunState.START, RunState.RUNNING, RunState.COMPLETE, RunState.FAIL, RunState.ABORT, RunState.OTHER)
    return [
        *(
            RunEvent(
                eventTime=now,
                producer="https://e.org",
                eventType=s,
                run=run,
                job=job,
                inputs=[source],
                outputs=[target],
            )
            for s in states
        ),
        JobEvent(eventTime=now, producer="https://e.org", job=job, inputs=[source], outputs=[target]),
        DatasetEvent(eventTime=now, producer="https://e.org", dataset=Dataset("s3://lake", "b")),
    ]


def http(gateway: Served, kind: str = "http", **more: Any) -> dict[str, Any]:
    auth = {"type": "api_key", "apiKey": gateway.server.token}
    return {"transport": {"type": kind, "url": gateway.server.url, "auth": auth, **more}}


def send_all(client: OpenLineageClient, events: list[Any]) -> None:
    for event in events:
        client.emit(event)
    assert client.close(30)


def assert_stored(gateway: Served, events: list[Any]) -> None:
    """Exactly what the client serialised is on the topic."""
    expected = sorted(avro.encode("lineage_event", from_openlineage(orjson.loads(Serde.to_json(e)))) for e in events)
    stored = sorted(m.value() for m in read_topic(gateway.settings.kafka, gateway.settings.topic))
    assert stored == expected


@pytest.mark.parametrize("kind", ["http", "async_http"])
@pytest.mark.parametrize("compression", [{}, {"compression": "gzip"}])
def test_the_python_client_by_http(serve: Serve, kind: str, compression: dict[str, str]) -> None:
    gateway = serve()
    events = some_events()
    send_all(OpenLineageClient(config=http(gateway, kind, **compression)), events)
    assert_stored(gateway, events)


def test_what_the_python_client_sends_passes_the_strict_verdict(serve: Serve, shared_dir: Path) -> None:
    gateway = serve(verdict="strict", openlineage_spec=shared_dir / "openlineage/spec_schemas")
    events = some_events()
    send_all(OpenLineageClient(config=http(gateway)), events)
    assert_stored(gateway, events)


def test_the_python_client_configured_by_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = serve()
    text = client_configuration(gateway.server.url, gateway.server.token)
    for line in text.splitlines():
        if line.startswith("export "):
            monkeypatch.setenv(*line.removeprefix("export ").split("=", 1))
    events = some_events()
    send_all(OpenLineageClient(), events)
    assert_stored(gateway, events)


def test_the_python_client_configured_by_the_file_that_we_print(serve: Serve, tmp_path: Path) -> None:
    gateway = serve()
    # The client looks for openlineage.yml in the current directory, which is tmp_path.
    (tmp_path / "openlineage.yml").write_text(openlineage_yml(gateway))
    events = some_events()
    send_all(OpenLineageClient(), events)
    assert_stored(gateway, events)


def openlineage_yml(gateway: Served) -> str:
    text = client_configuration(gateway.server.url, gateway.server.token)
    return text[text.index("transport:") : text.index("# curl")]


def test_the_curl_line_that_we_print(serve: Serve, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    gateway = serve()
    [event, *_] = some_events()
    (tmp_path / "event.json").write_text(Serde.to_json(event))
    text = client_configuration(gateway.server.url, gateway.server.token)
    command = text[text.index("curl -X POST") :].replace("curl ", "curl --silent --fail ", 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, timeout=30)
    assert_stored(gateway, [event])


def test_a_wrong_key_is_told_at_once_and_not_retried(serve: Serve) -> None:
    gateway = serve()
    before = answers("401")
    config = http(gateway)
    config["transport"]["auth"]["apiKey"] = "wrong"
    with pytest.raises(requests.HTTPError, match="401"):
        OpenLineageClient(config=config).emit(some_events()[0])
    assert answers("401") == before + 1


def answers(status: str) -> float:
    labels = {"path": "/api/v1/lineage", "status": status}
    return REGISTRY.get_sample_value("proventrail_http_requests_total", labels) or 0.0


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker that the test may pause."""
    broker = KafkaBroker(tmp_path / "kafka").start()
    yield broker
    broker.stop()


def while_kafka_is_silent(broker: KafkaBroker, send: Callable[[], None]) -> None:
    """Call `send` while Kafka is silent, and let Kafka speak again when the gateway has answered 503."""
    assert broker.process is not None
    before = answers("503")
    os.kill(broker.process.pid, signal.SIGSTOP)
    sender = threading.Thread(target=send)
    try:
        sender.start()
        while answers("503") == before:
            time.sleep(0.02)
            assert sender.is_alive()
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    sender.join()


def serve_on(serve: Serve, broker: KafkaBroker) -> Served:
    create_topic(broker.bootstrap_servers, "events", 2, 1, {})
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
    return serve(kafka=kafka, topic="events", acknowledge_seconds=1, retry_after_seconds=1)


@pytest.mark.parametrize("kind", ["http", "async_http"])
def test_the_python_client_tries_again_after_503(serve: Serve, own_broker: KafkaBroker, kind: str) -> None:
    gateway = serve_on(serve, own_broker)
    first, second, *_ = some_events()
    client = OpenLineageClient(config=http(gateway, kind))
    client.emit(first)
    if kind == "async_http":
        assert client.transport.wait_for_completion(30)
    done: list[bool] = []

    def send() -> None:
        client.emit(second)
        done.append(client.close(60))

    while_kafka_is_silent(own_broker, send)
    assert done == [True]
    ids = {record["id"] for record in gateway.records()}
    assert ids == {from_openlineage(orjson.loads(Serde.to_json(event)))["id"] for event in (first, second)}


def test_the_python_client_by_kafka(make_topic: MakeTopic, kafka_settings: KafkaSettings) -> None:
    """Its JSON and its keys, as refine finds them on the topic `openlineage`."""
    topic = make_topic(name="openlineage", partitions=2)
    config = {"bootstrap.servers": kafka_settings.bootstrap_servers}
    events = some_events()
    send_all(OpenLineageClient(config={"transport": {"type": "kafka", "topic": topic, "config": config}}), events)
    messages = read_topic(kafka_settings, topic)
    assert_readable(messages, {"run:dags/daily", "job:shop/orders", "dataset:s3://lake/b"})
    sent = sorted(from_openlineage(orjson.loads(Serde.to_json(event)))["id"] for event in events)
    assert sorted(from_openlineage(orjson.loads(m.value()))["id"] for m in messages) == sent


def assert_readable(messages: list[Any], keys: set[str]) -> None:
    assert {message.key().decode() for message in messages} == keys
    for message in messages:
        event = orjson.loads(message.value())
        assert verdict.lenient(event) == []
        assert avro.encode("lineage_event", from_openlineage(event))


# -- Java --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def java_client(tmp_path_factory: pytest.TempPathFactory, repo_dir: Path) -> Callable[..., subprocess.Popen[str]]:
    """Runs `Emit.java` with openlineage-java in a folder that may hold an openlineage.yml."""
    if shutil.which("javac") is None:
        pytest.skip("needs a JDK: the client is compiled here")
    import jgo

    folder = tmp_path_factory.mktemp("java")
    environment = jgo.build(JAVA_CLIENT, cache_dir=folder / "jgo")
    jars = [*environment.path.rglob("*.jar"), *(jar for jar in kafka_jars() if jar.name.startswith("kafka-clients"))]
    class_path = os.pathsep.join(map(str, [folder, *jars]))
    source = repo_dir / "tests/interop/java-openlineage/Emit.java"
    subprocess.run(["javac", "-cp", class_path, "-d", folder, source], check=True, timeout=120)

    def start(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
        command = ["java", "-cp", class_path, "Emit", *arguments]
        return subprocess.Popen(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    return start


def java_events(output: str) -> list[dict[str, Any]]:
    """`Emit` prints each event as the client serialises it."""
    return [orjson.loads(line) for line in output.splitlines() if line.startswith("{")]


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


@pytest.mark.interop
@pytest.mark.parametrize("compression", ["gzip", None])
def test_the_java_client_by_http(
    serve: Serve, java_client: Callable[..., subprocess.Popen[str]], tmp_path: Path, compression: str | None
) -> None:
    gateway = serve()
    text = openlineage_yml(gateway)
    (tmp_path / "openlineage.yml").write_text(text if compression else text.replace("  compression: gzip\n", ""))
    events = java_events(finished(java_client(tmp_path, "4")))
    assert len(events) == 4 + 2
    expected = sorted(avro.encode("lineage_event", from_openlineage(event)) for event in events)
    stored = sorted(m.value() for m in read_topic(gateway.settings.kafka, gateway.settings.topic))
    assert stored == expected


@pytest.mark.interop
def test_the_java_client_tries_again_after_503(
    serve: Serve, own_broker: KafkaBroker, java_client: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    gateway = serve_on(serve, own_broker)
    (tmp_path / "openlineage.yml").write_text(openlineage_yml(gateway))
    output: list[str] = []
    while_kafka_is_silent(own_broker, lambda: output.append(finished(java_client(tmp_path, "1"))))
    expected = {from_openlineage(event)["id"] for event in java_events(output[0])}
    assert {record["id"] for record in gateway.records()} == expected


@pytest.mark.interop
def test_the_java_client_by_kafka(
    make_topic: MakeTopic,
    kafka_settings: KafkaSettings,
    java_client: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    topic = make_topic(name="openlineage", partitions=2)
    (tmp_path / "openlineage.yml").write_text(
        f"""
transport:
  type: kafka
  topicName: {topic}
  properties:
    bootstrap.servers: {kafka_settings.bootstrap_servers}
    acks: all
    key.serializer: org.apache.kafka.common.serialization.StringSerializer
    value.serializer: org.apache.kafka.common.serialization.StringSerializer
"""
    )
    events = java_events(finished(java_client(tmp_path, "4")))
    messages = read_topic(kafka_settings, topic)
    assert_readable(messages, {"run:shop/orders", "job:shop/orders", "dataset:s3://lake/b"})
    assert sorted(from_openlineage(orjson.loads(m.value()))["id"] for m in messages) == sorted(
        from_openlineage(event)["id"] for event in events
    )
