"""`proventrail privacy` on a real vault; its audit events on a real broker, its searches in a real engine."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer

from proventrail.cli.app import cli
from proventrail.embedded.broker import KafkaBroker
from proventrail.privacy.vault import FileKeys, Subject, Vault, VaultError, open_vault
from proventrail.privacy.vault.seal import seal
from proventrail.schemas import avro
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import topic_specs
from proventrail.storage.endpoint import Endpoint
from proventrail.storage.engine import EMBEDDED_DIALECT, Engine
from proventrail.storage.migrations import migrate
from proventrail.storage.store import ClientStore
from proventrail.streaming.admin import ensure_topics

VALUE = "jane.secret@example.org"
PASSWORD = "a-token-for-the-endpoint-of-tests"


@dataclass
class Commands:
    """Runs `proventrail privacy …` on a data directory of its own."""

    data_dir: Path
    options: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, who: str = "", code: int | None = 0, stdin: str = "") -> Result:
        environment = {
            "PROVENTRAIL_PRINCIPAL_TOKEN": self.tokens.get(who, ""),
            "PROVENTRAIL_CLICKHOUSE_PASSWORD": PASSWORD,
        }
        given = [*arguments, "--data-dir", str(self.data_dir), *self.options, *(["--as", who] if who else [])]
        result = CliRunner().invoke(cli, ["privacy", *given], input=stdin, env=environment)
        if code is not None:
            assert result.exit_code == code, (result.output, result.exception)
        if who:
            assert self.tokens.get(who, "no token") not in result.output
        return result

    def open(self) -> Vault:
        return open_vault(self.data_dir / "vault" / "vault.db", FileKeys(self.data_dir / "keys" / "kek.json"))

    def subject(self, value: str = VALUE) -> Subject:
        with self.open() as vault:
            return vault.subjects([("email", value)])[0]


@pytest.fixture
def run(tmp_path: Path) -> Commands:
    """Two approvers, a revealer and an auditor; nothing of the pipeline runs."""
    commands = Commands(tmp_path / "data")
    for name, role in (("anna", "approver"), ("bert", "approver"), ("rita", "revealer"), ("otto", "auditor")):
        result = commands("principals", "add", name, "--role", role)
        commands.tokens[name] = result.stdout.strip()
    return commands


def actions(run: Commands) -> list[str]:
    return [line.split("\t")[2] for line in run("audit", "--format", "tsv").stdout.splitlines()[1:]]


def test_erase_takes_two_approvers(run: Commands) -> None:
    subject = run.subject().subject_id
    asked = run("erase", "--subject", subject, "--reason", "TICKET-1", "--approve", who="anna")
    assert asked.stdout == f"waiting: {subject} (email), asked for by anna, reason: TICKET-1; 1 of 2 approvals\n"
    again = run("erase", "--subject", subject, "--approve", who="anna", code=1)
    assert "another principal" in again.stderr
    assert subject in run("requests").stdout
    done = run("erase", "--subject", subject, "--approve", who="bert")
    assert done.stdout.startswith(f"erased: {subject} (email), approved by anna and bert.")
    assert "erased already" in run("erase", "--subject", subject, "--approve", who="bert", code=1).stderr
    with run.open() as vault:
        assert vault.key_of([subject]) == {}
    assert actions(run)[-3:] == ["erase.request", "erase.approve", "erase"]


def test_the_approval_of_a_principal_that_was_removed_is_void(run: Commands) -> None:
    subject = run.subject().subject_id
    run("erase", "--subject", subject, "--reason", "TICKET-1", "--approve", who="anna")
    run("principals", "remove", "anna")
    assert "1 of 2 approvals" in run("erase", "--subject", subject, "--approve", who="bert").stdout


def test_a_legal_hold_blocks_with_a_clear_line(run: Commands) -> None:
    subject = run.subject().subject_id
    run("hold", "add", "--subject", subject, "--reason", "CASE-7", who="anna")
    assert f"{subject}\tCASE-7\tanna" in run("hold", "list").stdout
    blocked = run("erase", "--subject", subject, "--reason", "TICKET-1", "--approve", who="bert", code=1)
    assert f"a legal hold on {subject} (by anna" in blocked.stderr
    run("hold", "remove", "--subject", subject, who="bert")
    run("erase", "--subject", subject, "--reason", "TICKET-1", "--approve", who="bert")


@pytest.mark.parametrize(
    ("who", "arguments"),
    [
        ("rita", ("erase", "--subject", "a" * 26, "--reason", "x", "--approve")),
        ("otto", ("hold", "add", "--subject", "a" * 26, "--reason", "x")),
        ("otto", ("reveal", "ptk1.x.y", "--event-id", "e", "--path", "p")),
        ("anna", ("reveal", "ptk1.x.y", "--event-id", "e", "--path", "p")),
        ("rita", ("find", "--kind", "email")),
        ("rita", ("rotate-key",)),
    ],
)
def test_roles(run: Commands, who: str, arguments: tuple[str, ...]) -> None:
    assert "needs the role" in run(*arguments, who=who, code=1).stderr


def test_a_name_is_proven_by_its_token(run: Commands) -> None:
    run.tokens["nobody"] = run.tokens["anna"]
    run.tokens["bert"] = run.tokens["anna"]
    for who in ("nobody", "bert"):
        result = run("erase", "--subject", "a" * 26, "--reason", "x", "--approve", who=who, code=1)
        assert f"does not prove that you are {who}" in result.stderr


def test_the_token_is_asked_for(run: Commands) -> None:
    subject, token = run.subject().subject_id, run.tokens.pop("anna")
    run("hold", "add", "--subject", subject, "--reason", "x", who="anna", stdin=f"{token}\n")
    run("hold", "remove", "--subject", subject, who="anna", stdin="wrong\n", code=1)


def test_principals(run: Commands) -> None:
    assert "already" in run("principals", "add", "anna", "--role", "auditor", code=1).stderr
    assert "letters" in run("principals", "add", "a b", "--role", "auditor", code=1).stderr
    run("principals", "remove", "otto")
    assert "no principal" in run("principals", "remove", "otto", code=1).stderr
    assert run("principals", "list").stdout.splitlines()[1:] == ["anna\tapprover", "bert\tapprover", "rita\trevealer"]
    assert actions(run).count("principal.add") == 4
    text = (run.data_dir / "vault" / "principals.json").read_text()
    assert not any(token in text for token in run.tokens.values())
    (run.data_dir / "vault" / "principals.json").chmod(0o640)
    result = run("principals", "list", code=None)
    assert isinstance(result.exception, VaultError)


def test_reveal_leaves_an_audit_event(run: Commands) -> None:
    subject = run.subject()
    token = seal(subject, VALUE, event_id="event-1", path="actor")
    assert run("reveal", token, "--event-id", "event-1", "--path", "actor", who="rita").stdout == f"{VALUE}\n"
    elsewhere = run("reveal", token, "--event-id", "event-2", "--path", "actor", who="rita", code=1)
    assert "does not open" in elsewhere.stderr
    assert VALUE not in elsewhere.output
    assert actions(run)[-1] == "reveal"
    assert VALUE not in (run.data_dir / "vault" / "journal.jsonl").read_text()


def test_find_takes_no_value_as_an_argument(run: Commands) -> None:
    assert "name either" in run("find", who="otto", code=2).stderr
    assert run("find", "--kind", "email", VALUE, who="otto", code=2)
    unknown = run("find", "--kind", "email", "--value-from", "stdin", who="otto", stdin=f"{VALUE}\n", code=1)
    assert "knows no such value" in unknown.stderr
    assert "takes an id" in run("find", "--subject", VALUE, who="otto", code=2).stderr


def test_rotate_key(run: Commands) -> None:
    before = run.subject()
    first = FileKeys(run.data_dir / "keys" / "kek.json").key_id
    assert run("rotate-key", who="anna").stdout.startswith("1 subjects are under the key ")
    assert f"destroyed: {first}" not in run("rotate-key", who="anna").stdout
    assert first in run("rotate-key", "--destroy-old", who="anna").stdout
    assert run.subject() == before
    assert actions(run).count("rotate-key") == 3


def test_a_key_in_the_environment(run: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = Commands(tmp_path / "other", ["--vault-key", "env:TEST_KEK"])
    missing = other("principals", "list", code=0)
    assert missing.stdout.strip() == "name\troles"
    assert "TEST_KEK is not set" in str(other("requests", code=None).exception)
    monkeypatch.setenv("TEST_KEK", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    other("requests")
    assert not (tmp_path / "other" / "keys").exists()


def test_tombstones_of_a_restored_vault(run: Commands, tmp_path: Path) -> None:
    subject = run.subject().subject_id
    database = run.data_dir / "vault" / "vault.db"
    backup = database.read_bytes()
    run("erase", "--subject", subject, "--reason", "x", "--approve", who="anna")
    run("erase", "--subject", subject, "--approve", who="bert")
    exported = run("tombstones", "export").stdout
    assert json.loads(exported)["subject_id"] == subject
    database.write_bytes(backup)
    refused = run("requests", code=None)
    assert "tombstones apply" in str(refused.exception)
    assert run("tombstones", "apply").stdout == "1 subjects were erased again\n"
    (tmp_path / "stones").write_text(exported)
    assert run("tombstones", "apply", str(tmp_path / "stones")).stdout == "0 subjects were erased again\n"
    (tmp_path / "stones").write_text('{"subject_id": 1, "erased_at": "", "proof": ""}')
    assert "line 1" in run("tombstones", "apply", str(tmp_path / "stones"), code=2).stderr


# -- the pipeline ------------------------------------------------------------------------------------------------------


def read_privacy_events(settings: KafkaSettings, subject: str) -> dict[str, list[dict[str, object]]]:
    """Records of the raw topic about a subject, by job name."""
    consumer = Consumer({**settings.client_config(), "group.id": subject, "auto.offset.reset": "earliest"})
    consumer.subscribe(["lineage.events"])
    found: dict[str, list[dict[str, object]]] = {}
    idle = 0
    while idle < 5:
        messages = consumer.consume(1000, timeout=2)
        idle = 0 if messages else idle + 1
        for message in messages:
            value = message.value()
            if message.error() is None and subject.encode() in value:
                record = avro.decode("lineage_event", value)
                found.setdefault(record["job"]["name"], []).append(record)
    consumer.close()
    return found


def test_audit_events_wait_for_the_broker_and_reach_it(
    run: Commands, kafka: KafkaBroker, kafka_settings: KafkaSettings
) -> None:
    ensure_topics(kafka_settings, topic_specs(4, 1, 1 << 30))
    subject = run.subject().subject_id
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        run.options = ["--bootstrap-servers", f"127.0.0.1:{closed.getsockname()[1]}"]
        first = run("erase", "--subject", subject, "--reason", "TICKET-1", "--approve", who="anna")
    assert "the pipeline does not answer" in first.stderr
    run.options = ["--bootstrap-servers", kafka.bootstrap_servers]
    second = run("erase", "--subject", subject, "--approve", who="bert")
    assert second.stderr == ""
    run("audit")
    found = read_privacy_events(kafka_settings, subject)
    assert {name: len(records) for name, records in found.items()} == {
        "privacy.erase.request": 1,
        "privacy.erase.approve": 1,
        "privacy.erase": 1,
    }
    facet = json.loads(found["privacy.erase"][0]["job"]["facets"]["proventrail_privacy"])
    assert (facet["subject"], facet["approved_by"]) == (subject, ["anna", "bert"])
    assert found["privacy.erase"][0]["job"]["namespace"] == "proventrail"


@pytest.fixture
def with_store(run: Commands, engine: Engine, store: ClientStore) -> Iterator[Callable[[str], object]]:
    """An endpoint in front of the engine, named by the commands' options; gives a way to run statements."""
    migrate(store, EMBEDDED_DIALECT)
    endpoint = Endpoint(engine.connection_string, PASSWORD).start()
    run.options = ["--clickhouse-url", f"http://127.0.0.1:{endpoint.port}", "--clickhouse-user", "auditor"]
    yield store.command
    endpoint.stop()


def test_find_says_where_in_the_log(run: Commands, with_store: Callable[[str], object]) -> None:
    subject = run.subject().subject_id
    with_store(
        "INSERT INTO proventrail.events (event_id, event_kind, received_at, job_namespace, job_name, actor) "
        f"SELECT generateUUIDv4(), 'RUN', now64(), 'shop', 'load', 'email_{subject}'"
    )
    found = run("find", "--kind", "email", "--value-from", "stdin", "--format", "json", who="otto", stdin=f"{VALUE}\n")
    assert f"subject: {subject}" in found.stderr
    [row] = json.loads(found.stdout)
    assert (row["job_name"], row["columns"]) == ("load", ["actor"])
    assert VALUE not in found.output
    assert json.loads(run("find", "--subject", subject, "--format", "json", who="anna").stdout) == [row]
    assert actions(run)[-1] == "find"


def test_tombstones_come_back_out_of_the_log(
    run: Commands, with_store: Callable[[str], object], tmp_path: Path
) -> None:
    subject = run.subject().subject_id
    run("erase", "--subject", subject, "--reason", "x", "--approve", who="anna")
    run("erase", "--subject", subject, "--approve", who="bert")
    lines = (run.data_dir / "vault" / "journal.jsonl").read_text().splitlines()
    facet = json.dumps(json.loads(lines[-1])["event"]["job"]["facets"]["proventrail_privacy"])
    with_store(
        "INSERT INTO proventrail.events (event_id, event_kind, received_at, job_namespace, job_name, job_facets) "
        f"SELECT generateUUIDv4(), 'JOB', now64(), 'proventrail', 'privacy.erase', "
        f"map('proventrail_privacy', '{facet}')"
    )
    exported = [json.loads(line) for line in run("tombstones", "export", "--from-log").stdout.splitlines()]
    local = json.loads(run("tombstones", "export").stdout)
    assert local in exported


def test_report(run: Commands, with_store: Callable[[str], object]) -> None:
    columns = "SELECT count() FROM system.columns WHERE database = 'proventrail' AND name = 'privacy.kind'"
    if with_store(columns) == 0:
        assert "has no columns privacy.*" in run("report", code=1).stderr
    else:
        assert run("report", "--by", "dataset", "--format", "tsv").stdout.startswith("period\tnamespace\tname\tkind")
