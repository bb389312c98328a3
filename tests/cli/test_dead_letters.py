"""`dead-letters`: what was refused, its bytes, and sending it again."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

import pytest
from confluent_kafka import Message, Producer

from proventrail.schemas.topics import OPENLINEAGE

from .conftest import Up, event


@dataclass(frozen=True)
class Refused:
    """A record that became a dead letter."""

    at: tuple[str, str, str]
    value: bytes


def produce(pipeline: Up, value: bytes, topic: str = OPENLINEAGE) -> Refused:
    sent: list[Message] = []
    producer = Producer({**pipeline.kafka.client_config(), "message.max.bytes": 12 << 20})
    producer.produce(topic, value, b"key", on_delivery=lambda error, message: sent.append(message))
    producer.flush(30)
    assert pipeline.run("verify-delivery", "--wait").code == 0
    return Refused((topic, str(sent[0].partition()), str(sent[0].offset())), value)


@pytest.fixture
def refused(pipeline: Up) -> Refused:
    return produce(pipeline, b"\x00\xff not JSON, secret@example.org " + uuid.uuid4().bytes)


def test_list_names_reason_and_place_and_no_value(pipeline: Up, refused: Refused) -> None:
    result = pipeline.run("dead-letters", "list", "--reason", "malformed", "--format", "json")
    topic, partition, offset = refused.at
    [row] = [row for row in result.json() if [row["raw_partition"], row["raw_offset"]] == [int(partition), int(offset)]]
    assert (row["raw_topic"], row["reason"], row["stage"]) == (topic, "malformed", "decode")
    assert "secret" not in result.output
    assert pipeline.run("dead-letters", "list", "--reason", "nothing", "--format", "json").json() == []
    assert len(pipeline.run("dead-letters", "list", "--limit", "1", "--format", "json").json()) == 1


@pytest.fixture
def revealer(pipeline: Up, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The options of someone who may reveal, whose token is in the environment."""
    name = f"rita-{uuid.uuid4().hex[:8]}"
    _as(pipeline, monkeypatch, name, "revealer")
    return "--as", name


def _as(pipeline: Up, monkeypatch: pytest.MonkeyPatch, name: str, role: str) -> None:
    added = pipeline.run("privacy", "principals", "add", name, "--role", role)
    assert added.code == 0, added.errors
    monkeypatch.setenv("PROVENTRAIL_PRINCIPAL_TOKEN", added.output.split()[-1])


def test_show_gives_the_original_bytes_and_leaves_an_audit_event(
    pipeline: Up, refused: Refused, revealer: tuple[str, str]
) -> None:
    result = pipeline.run("dead-letters", "show", *refused.at, *revealer)
    assert (result.code, result.raw, result.errors) == (0, refused.value, "")
    assert pipeline.run("verify-delivery", "--wait").code == 0
    events = pipeline.sql(
        "SELECT job_facets['proventrail_privacy'] AS facet FROM events "
        "WHERE job_namespace = 'proventrail' AND job_name = 'privacy.reveal-dead-letter'"
    )
    told = [json.loads(row["facet"]) for row in events]
    assert [(f["raw_partition"], f["raw_offset"]) for f in told if f["principal"] == revealer[1]] == [
        (int(refused.at[1]), int(refused.at[2]))
    ]


def test_show_needs_the_role(pipeline: Up, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"otto-{uuid.uuid4().hex[:8]}"
    _as(pipeline, monkeypatch, name, "auditor")
    result = pipeline.run("dead-letters", "show", *refused.at, "--as", name)
    assert (result.code, result.raw) == (1, b"")
    assert "needs the role revealer" in result.error
    monkeypatch.setenv("PROVENTRAIL_PRINCIPAL_TOKEN", "wrong")
    assert pipeline.run("dead-letters", "show", *refused.at, "--as", name).code == 1
    assert pipeline.run("dead-letters", "show", *refused.at).code == 2


def test_the_store_has_it_sealed(pipeline: Up, refused: Refused) -> None:
    topic, partition, offset = refused.at
    [row] = pipeline.sql(
        "SELECT hex(value) AS value, hex(key) AS key FROM dead_letters "
        f"WHERE raw_topic = '{topic}' AND raw_partition = {partition} AND raw_offset = {offset}"
    )
    assert bytes.fromhex(row["value"]).startswith(b"ptk1")
    assert bytes.fromhex(row["key"]).startswith(b"ptk1")
    assert b"secret@example.org" not in bytes.fromhex(row["value"])


def test_one_that_is_not_there(pipeline: Up, revealer: tuple[str, str]) -> None:
    for command, options in (("show", revealer), ("replay", ())):
        result = pipeline.run("dead-letters", command, OPENLINEAGE, "0", "99999999", *options)
        assert (result.code, result.error) == (1, "error: no dead letter stands at openlineage 0 99999999")
    assert pipeline.run("dead-letters", "replay", "lineage.refined", "0", "0").code == 2
    assert pipeline.run("dead-letters", "show", OPENLINEAGE, "0", "x").code == 2


def test_replay_sends_the_record_again_and_the_letter_stays(pipeline: Up, refused: Refused) -> None:
    def letters() -> int:
        return len(pipeline.run("dead-letters", "list", "--limit", "1000", "--format", "json").json())

    before = letters()
    result = pipeline.run("dead-letters", "replay", *refused.at)
    assert (result.code, result.output) == (0, "sent again\n")
    assert pipeline.run("verify-delivery", "--wait").code == 0
    # Its cause is not mended: it is refused again, under coordinates of its own.
    assert letters() == before + 1


def test_a_large_one_can_be_replayed(pipeline: Up, namespace: str) -> None:
    large = produce(pipeline, json.dumps(event(namespace, job={"x": "y" * (3 << 20)})).encode())
    assert pipeline.run("dead-letters", "replay", *large.at).output == "sent again\n"
    assert pipeline.run("verify-delivery", "--wait").code == 0
