"""The schema registry's client: ids both ways, what it remembers, and what it says of a registry that is away.

By confluent-kafka's `mock://`; the same over HTTP, on a real server, is in tests/interop/test_schema_registry.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryError
from fastavro.utils import generate_many
from pydantic import SecretStr, ValidationError

from proventrail.embedded.broker import free_port
from proventrail.schemas import avro
from proventrail.schemas.columns import Undecodable, decode_batch, encode_batch
from proventrail.schemas.registry import RegistryError, RegistryUnavailable, SchemaRegistry, subject_of
from proventrail.schemas.settings import SchemaRegistrySettings
from proventrail.schemas.topics import SCHEMA_OF_TOPIC
from proventrail.schemas.wire import CodecError, confluent_prefix
from proventrail.schemas.writer import compile_writer


@pytest.fixture
def registry() -> SchemaRegistry:
    return SchemaRegistry(SchemaRegistrySettings(url="mock://test"))


@pytest.fixture
def framing(registry: SchemaRegistry) -> avro.Framing:
    for topic, name in SCHEMA_OF_TOPIC.items():
        registry.register(topic, name)
    return registry.framing(SCHEMA_OF_TOPIC)


def records(name: str, n: int) -> list[dict[str, Any]]:
    return list(generate_many(avro.schema(name), n))


def without_last_field(name: str) -> tuple[str, dict[str, Any], Any]:
    """An older version of a schema: its text, a record of it, and the default of the field that it lacks."""
    older = json.loads(avro.schema_json(name))
    gone = older["fields"].pop()
    record = {key: value for key, value in records(name, 1)[0].items() if key != gone["name"]}
    return json.dumps(older), record, (gone["name"], gone["default"])


@pytest.mark.parametrize("name", avro.NAMES)
def test_framed_records_and_batches_come_back(registry: SchemaRegistry, framing: avro.Framing, name: str) -> None:
    topic = next(topic for topic, schema in SCHEMA_OF_TOPIC.items() if schema == name)
    prefix = confluent_prefix(registry.id_of(topic, name))
    some = records(name, 20)
    values = [avro.encode(name, record, framing) for record in some]
    assert all(value.startswith(prefix) for value in values)
    assert [avro.decode(name, value, registry.resolve) for value in values] == some
    batch, bad = decode_batch(name, values, registry.resolve)
    assert bad == []
    assert encode_batch(name, batch, framing) == values


def test_a_batch_may_mix_framings_and_versions(registry: SchemaRegistry, framing: avro.Framing) -> None:
    older, record, (gone, default) = without_last_field("lineage_event")
    older_id = registry._client.register_schema("other-value", Schema(older, "AVRO"))
    new, single = records("lineage_event", 2)
    values: list[bytes | None] = [
        avro.encode("lineage_event", new, framing),
        confluent_prefix(older_id) + compile_writer(json.loads(older))(record),
        confluent_prefix(9999) + b"x",
        avro.encode("lineage_event", single),
        None,
    ]
    batch, bad = decode_batch("lineage_event", values, registry.resolve)
    assert bad == [Undecodable(2, "unknown-schema"), Undecodable(4, "empty")]
    assert batch.column("id").to_pylist() == [new["id"], record["id"], single["id"]]
    assert batch.column(gone).to_pylist() == [new[gone], default, single[gone]]


@pytest.mark.parametrize(
    "foreign",
    [
        '{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}',
        '"string"',
        '{"type": "record", "name": "LineageEvent", "namespace": "io.proventrail", "fields": []}',
    ],
)
def test_a_schema_of_others_is_refused(registry: SchemaRegistry, foreign: str) -> None:
    data = confluent_prefix(registry._client.register_schema("orders-value", Schema(foreign, "AVRO"))) + b"\x02a"
    with pytest.raises(CodecError):
        avro.decode("lineage_event", data, registry.resolve)
    assert len(decode_batch("lineage_event", [data], registry.resolve)[1]) == 1


def test_what_is_no_avro_schema_is_unknown(registry: SchemaRegistry) -> None:
    json_schema = registry._client.register_schema("a-value", Schema('{"type": "object"}', "JSON"))
    broken = registry._client.register_schema("b-value", Schema('{"type": "nonsense"}', "AVRO"))
    for schema_id in (json_schema, broken):
        with pytest.raises(CodecError) as caught:
            avro.decode("lineage_event", confluent_prefix(schema_id) + b"x", registry.resolve)
        assert caught.value.code == "unknown-schema"


def test_a_writer_does_not_begin_without_its_schema(registry: SchemaRegistry) -> None:
    with pytest.raises(RegistryError, match="proventrail schemas register"):
        registry.framing(SCHEMA_OF_TOPIC)
    first = registry.register("t", "lineage_event")
    assert registry.register("t", "lineage_event") == first == registry.id_of("t", "lineage_event")


class Counting:
    """A client that counts what it is asked, in front of another."""

    def __init__(self, client: Any, error: Exception | None = None) -> None:
        self.asked: list[int] = []
        self.error = error
        self._client = client

    def get_schema(self, schema_id: int) -> Any:
        self.asked.append(schema_id)
        if self.error is not None:
            raise self.error
        return self._client.get_schema(schema_id)


def test_an_id_is_asked_once(registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry.register("t", "lineage_event")
    client = Counting(registry._client)
    monkeypatch.setattr(registry, "_client", client)
    for _ in range(3):
        assert json.loads(registry.resolve(known)) == json.loads(avro.schema_json("lineage_event"))
        with pytest.raises(CodecError):
            registry.resolve(9999)
    assert client.asked == [known, 9999]


@pytest.mark.parametrize(
    "error",
    [
        SchemaRegistryError(500, 50001, "secret"),
        SchemaRegistryError(503, -1, "secret"),
        SchemaRegistryError(429, 429, "secret"),
        SchemaRegistryError(401, 401, "secret"),
        SchemaRegistryError(403, 40301, "secret"),
        SchemaRegistryError(404, -1, "a page of another server"),
        SchemaRegistryError(404, 404, "secret"),
        TimeoutError("secret"),
        ValueError("not JSON"),
    ],
)
def test_what_says_nothing_of_the_id_refuses_no_record(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(registry, "_client", Counting(registry._client, error))
    with pytest.raises(RegistryUnavailable) as caught:
        decode_batch("lineage_event", [confluent_prefix(1) + b"x"], registry.resolve)
    assert "secret" not in str(caught.value)


def test_a_registry_that_is_away_is_asked_again_a_little_later(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = registry.register("t", "lineage_event")
    client = Counting(registry._client, TimeoutError())
    monkeypatch.setattr(registry, "_client", client)
    for _ in range(2):
        with pytest.raises(RegistryUnavailable):
            registry.resolve(known)
    client.error = None
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            assert registry.resolve(known)
            break
        except RegistryUnavailable:
            time.sleep(0.05)
    assert client.asked == [known, known]


def test_nobody_listens() -> None:
    registry = SchemaRegistry(SchemaRegistrySettings(url=f"http://127.0.0.1:{free_port()}"))
    calls: list[Callable[[], object]] = [
        lambda: registry.resolve(1),
        lambda: registry.id_of("t", "lineage_event"),
        lambda: registry.register("t", "lineage_event"),
        lambda: registry.accepts("t", avro.schema_json("lineage_event")),
    ]
    for call in calls:
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            call()


@pytest.fixture
def headers() -> Iterator[tuple[str, list[Any]]]:
    """A server that keeps the headers of what it is asked, and its URL."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers)
            self.send_response(401)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not on the console."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_user_and_password_are_sent(headers: tuple[str, list[Any]]) -> None:
    url, seen = headers
    settings = SchemaRegistrySettings(url=url, username="u", password=SecretStr("p:w"))
    with pytest.raises(RegistryUnavailable, match="set user and password"):
        SchemaRegistry(settings).resolve(1)
    assert seen[0].get("Authorization") == "Basic dTpwOnc="
    assert "p:w" not in repr(settings)


@pytest.mark.parametrize("url", ["", "registry:8081", "ftp://h", "http://u:p@h:8081", "http://h:1,nonsense"])
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SchemaRegistrySettings(url=url)
    [told] = caught.value.errors(include_input=False)
    assert "schema registry URL" in told["msg"]
    assert "u:p" not in told["msg"]


def test_a_missing_ca_is_said() -> None:
    with pytest.raises(RegistryError, match="settings of the schema registry"):
        SchemaRegistry(SchemaRegistrySettings(url="https://h", ca_location="/no/such/file"))


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROVENTRAIL_SCHEMA_REGISTRY_URL", raising=False)
    assert SchemaRegistrySettings.from_environment() is None
    monkeypatch.setenv("PROVENTRAIL_SCHEMA_REGISTRY_URL", "http://a:1")
    monkeypatch.setenv("PROVENTRAIL_SCHEMA_REGISTRY_USER", "u")
    monkeypatch.setenv("PROVENTRAIL_SCHEMA_REGISTRY_PASSWORD", "p")
    found = SchemaRegistrySettings.from_environment()
    assert found is not None
    assert found.client_config()["basic.auth.user.info"] == "u:p"
    assert SchemaRegistrySettings.from_environment("http://b:2").url == "http://b:2"  # type: ignore[union-attr]


_WITHOUT_EXTRA = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in ("authlib", "httpx2", "httpx", "cachetools", "attrs", "attr"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from proventrail.producers import EmitError, Emitter
Emitter("127.0.0.1:1")
assert not [m for m in sys.modules if m.startswith("confluent_kafka.schema_registry")]
try:
    Emitter("127.0.0.1:1", schema_registry_url="http://127.0.0.1:1")
except EmitError as error:
    print(error)
"""


def test_without_the_extra_the_sdk_works_and_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_EXTRA], capture_output=True, text=True, check=True)
    assert "pip install 'proventrail[registry]'" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_subjects_are_named_by_topic() -> None:
    assert subject_of("lineage.events") == "lineage.events-value"


@pytest.mark.parametrize("stage", ["refine", "gateway"])
def test_a_stage_refuses_to_start_without_its_ids(stage: str, tmp_path: Path) -> None:
    """It would not know how to frame; the exit code tells a supervisor to try again."""
    options = ["--data-dir", str(tmp_path), "--bootstrap-servers", f"127.0.0.1:{free_port()}"]
    registry = ["--schema-registry-url", f"http://127.0.0.1:{free_port()}"]
    port = ["--port", "0"] if stage == "gateway" else []
    command = [sys.executable, "-m", "proventrail.cli", stage, *options, *registry, *port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("error: the schema registry does not answer")
    assert "Traceback" not in done.stderr
