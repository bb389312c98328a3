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


def test_show_gives_the_original_bytes(pipeline: Up, refused: Refused) -> None:
    result = pipeline.run("dead-letters", "show", *refused.at)
    assert (result.code, result.raw, result.errors) == (0, refused.value, "")


def test_one_that_is_not_there(pipeline: Up) -> None:
    for command in ("show", "replay"):
        result = pipeline.run("dead-letters", command, OPENLINEAGE, "0", "99999999")
        assert (result.code, result.error) == (1, "error: no dead letter stands at openlineage 0 99999999")
    assert pipeline.run("dead-letters", "replay", "lineage.refined", "0", "0").code == 2
    assert pipeline.run("dead-letters", "show", OPENLINEAGE, "0", "x").code == 2


def test_replay_sends_the_record_again_and_the_letter_stays(pipeline: Up, refused: Refused) -> None:
    def letters() -> int:
        value = f"unhex('{refused.value.hex()}')"
        return pipeline.sql(f"SELECT count() AS n FROM dead_letters WHERE value = {value} AND key = 'key'")[0]["n"]

    assert letters() == 1
    result = pipeline.run("dead-letters", "replay", *refused.at)
    assert (result.code, result.output) == (0, "sent again\n")
    assert pipeline.run("verify-delivery", "--wait").code == 0
    # Its cause is not mended: it is refused again, under coordinates of its own.
    assert letters() == 2


def test_a_large_one_can_be_replayed(pipeline: Up, namespace: str) -> None:
    large = produce(pipeline, json.dumps(event(namespace, job={"x": "y" * (3 << 20)})).encode())
    assert pipeline.run("dead-letters", "replay", *large.at).output == "sent again\n"
    assert pipeline.run("verify-delivery", "--wait").code == 0
