"""`verify-delivery`: whole on the real pipeline; holes and doubles that are planted in a store are found."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from proventrail.schemas.topics import OPENLINEAGE
from proventrail.storage.dialect import Dialect
from proventrail.storage.endpoint import Endpoint
from proventrail.storage.engine import Engine
from proventrail.storage.migrations import migrate
from proventrail.storage.store import ClientStore

from .conftest import Result, Up, event, run, written

COORDINATES = "raw_topic_id, raw_topic, raw_partition, raw_offset"
COVERED = " UNION ALL ".join(
    f"SELECT {COORDINATES} FROM {table}" for table in ("events", "duplicate_deliveries", "dead_letters")
)


def test_it_is_whole_after_events_duplicates_and_garbage(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    path = written(tmp_path / "e.jsonl", [event(namespace) for _ in range(20)])
    for _ in range(2):
        assert pipeline.run("ingest", path).code == 0
    producer = Producer(pipeline.kafka.client_config())
    producer.produce(OPENLINEAGE, b"garbage")
    producer.flush(30)
    result = pipeline.run("verify-delivery", "--wait", "--format", "json")
    assert (result.code, result.errors) == (0, "every record is stored once or refused with a reason\n")
    rows = result.json()
    assert len(rows) == 8
    assert all(row["doubled"] == 0 for row in rows)
    assert sum(row["duplicates"] for row in rows) >= 20
    for row in rows:
        missing = row["end"] - row["events"] - row["duplicates"] - row["dead_letters"]
        assert bool(missing) == bool(row["holes"])


def test_markers_of_transactions_are_no_loss(pipeline: Up, namespace: str) -> None:
    producer = Producer({**pipeline.kafka.client_config(), "transactional.id": namespace})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(OPENLINEAGE, json.dumps(event(namespace)).encode(), partition=0)
    producer.commit_transaction(30)
    result = pipeline.run("verify-delivery", "--wait", "--format", "json")
    assert result.code == 0
    [row] = [row for row in result.json() if (row["topic"], row["partition"]) == (OPENLINEAGE, 0)]
    assert row["holes"][-1] == f"{row['end'] - 1}..{row['end'] - 1} no record: offsets of transaction markers"


@dataclass(frozen=True)
class Copy:
    """A store with the coordinates of all that the pipeline has stored, to be damaged; and the pipeline's broker."""

    store: ClientStore
    url: str
    kafka: str

    def verify(self) -> Result:
        servers = ["--bootstrap-servers", self.kafka, "--clickhouse-url", self.url, "--clickhouse-user", "auditor"]
        return run("verify-delivery", "--format", "json", *servers)

    def holes(self) -> dict[tuple[str, int], list[str]]:
        return {(row["topic"], row["partition"]): row["holes"] for row in self.verify().json()}


@pytest.fixture
def copy(
    pipeline: Up, engine: Engine, store: ClientStore, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Copy]:
    """Partition 1 of `openlineage` has at least ten records, and nothing else writes while the test runs."""
    producer = Producer(pipeline.kafka.client_config())
    for _ in range(10):
        producer.produce(OPENLINEAGE, json.dumps(event(namespace)).encode(), partition=1)
    producer.flush(30)
    assert pipeline.run("verify-delivery", "--wait").code == 0
    migrate(store, Dialect(storage_policy="tiered"))
    rows = ", ".join(
        f"('{row['raw_topic_id']}', '{row['raw_topic']}', {row['raw_partition']}, {row['raw_offset']})"
        for row in pipeline.sql(COVERED)
    )
    store.command(f"INSERT INTO proventrail.events ({COORDINATES}) VALUES {rows}")
    token = secrets.token_urlsafe(32)
    monkeypatch.setenv("PROVENTRAIL_CLICKHOUSE_PASSWORD", token)
    endpoint = Endpoint(engine.connection_string, token).start()
    yield Copy(store, f"http://127.0.0.1:{endpoint.port}", pipeline.kafka.bootstrap_servers)
    endpoint.stop()
    store.command("DROP DATABASE proventrail")


def test_a_hole_is_found_with_its_reason(copy: Copy) -> None:
    assert copy.verify().code == 0
    copy.store.command(
        f"DELETE FROM proventrail.events WHERE raw_topic = '{OPENLINEAGE}' AND raw_partition = 1 "
        "AND raw_offset BETWEEN 3 AND 4 SETTINGS mutations_sync = 1"
    )
    result = copy.verify()
    assert (result.code, result.errors) == (1, "delivery is NOT whole\n")
    assert copy.holes()[OPENLINEAGE, 1] == ["3..4 not stored (yet): the broker has records here"]


def test_a_double_is_found(copy: Copy) -> None:
    copy.store.command(
        f"INSERT INTO proventrail.dead_letters ({COORDINATES}) SELECT {COORDINATES} FROM proventrail.events "
        f"WHERE raw_topic = '{OPENLINEAGE}' AND raw_partition = 1 AND raw_offset = 5"
    )
    result = copy.verify()
    assert result.code == 1
    doubled = {(row["topic"], row["partition"]): row["doubled"] for row in result.json()}
    assert doubled.pop((OPENLINEAGE, 1)) == 1
    assert set(doubled.values()) == {0}


def test_what_the_broker_has_not_kept_is_told_apart_and_a_dead_letter_tells_of_it(pipeline: Up, copy: Copy) -> None:
    admin = AdminClient(pipeline.kafka.client_config())
    partition = TopicPartition(OPENLINEAGE, 1, 6)
    admin.delete_records([partition])[partition].result()
    copy.store.command(
        f"DELETE FROM proventrail.events WHERE raw_topic = '{OPENLINEAGE}' AND raw_partition = 1 "
        "AND raw_offset BETWEEN 2 AND 7 SETTINGS mutations_sync = 1"
    )
    copy.store.command(
        f"INSERT INTO proventrail.dead_letters ({COORDINATES}, reason, message) "
        "SELECT raw_topic_id, raw_topic, 1, 2, 'expired', 'records 2 to 3 were removed by retention' "
        f"FROM proventrail.events WHERE raw_topic = '{OPENLINEAGE}' AND raw_partition = 1 LIMIT 1"
    )
    assert copy.verify().code == 1
    assert copy.holes()[OPENLINEAGE, 1] == [
        "2..3 expired: removed by retention before it was read (recorded as a dead letter)",
        "4..5 unverifiable: the broker has not kept these offsets, and no dead letter tells of them",
        "6..7 not stored (yet): the broker has records here",
    ]
    # The pipeline has stored them: it is whole whatever the broker has kept.
    assert pipeline.run("verify-delivery").code == 0
