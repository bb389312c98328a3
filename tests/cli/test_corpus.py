"""The corpus of ../shared goes in over HTTP, batch, Kafka JSON and file, and the tables hold the same for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from proventrail.schemas import verdict
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.topics import OPENLINEAGE
from tests.gateway.test_corpus import corpus

from .conftest import Up, written

WAYS = ("way-http", "way-batch", "way-kafka", "way-file")

# Where a record lay and when it came; the id is compared with the one that the event must have.
COORDINATES = "raw_topic_id, raw_topic, raw_partition, raw_offset, received_at, lateness_ms, event_id"
TABLES = ("runs", "lineage_edges", "column_edges", "dataset_versions", "job_versions")


def marked(event: dict[str, Any], way: str) -> dict[str, Any]:
    """The event as one of a job (or, without a job, of a dataset) that only this way has."""
    event = deepcopy(event)
    if "job" in event:
        event["job"]["namespace"] = f"{way}/{event['job']['namespace']}"
    else:
        event["dataset"]["name"] += f".{way}"
    return event


def send(pipeline: Up, way: str, events: list[Any], folder: Path) -> int:
    """Send the events by one way; gives how many were refused at once."""
    headers = {"Authorization": f"Bearer {pipeline.token}", "Content-Type": "application/json"}
    with httpx.Client(base_url=pipeline.url, headers=headers, timeout=60) as client:
        if way == "way-http":
            answers = [client.post("/api/v1/lineage", content=json.dumps(event)) for event in events]
            assert {answer.status_code for answer in answers} <= {201, 422}
            return sum(answer.status_code == 422 for answer in answers)
        if way == "way-batch":
            answer = client.post("/api/v1/lineage/batch", content=json.dumps(events))
            return len(answer.json()["failed_events"]) if answer.status_code == 200 else 0
    if way == "way-file":
        result = pipeline.run("ingest", written(folder / "corpus.jsonl", events))
        return len(result.errors.splitlines())
    producer = Producer({**pipeline.kafka.client_config(), "message.max.bytes": 12 << 20})
    for number, event in enumerate(events):
        producer.produce(OPENLINEAGE, json.dumps(event).encode(), str(number).encode())
        producer.poll(0)
    assert producer.flush(60) == 0
    return 0


def rows(pipeline: Up, query: str, way: str) -> list[str]:
    """The rows as JSON, without the mark of the way, sorted."""
    result = pipeline.run("sql", query, "--format", "jsonl")
    assert result.code == 0, result.errors
    return sorted(result.output.replace(way, "WAY").splitlines())


@pytest.fixture(scope="module")
def events(shared_dir: Path) -> list[dict[str, Any]]:
    return list(corpus(shared_dir))


@pytest.fixture(scope="module")
def sent(
    pipeline: Up, events: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """Way -> how many events were refused or became dead letters."""
    good = [event for event in events if not verdict.lenient(event)]
    bad = [event for event in events if verdict.lenient(event)]
    assert len(good) > 100
    assert bad

    def letters() -> int:
        assert pipeline.run("verify-delivery", "--wait").code == 0
        return int(pipeline.sql("SELECT count() AS n FROM dead_letters")[0]["n"])

    refused: dict[str, int] = {}
    for way in WAYS:
        before = letters()
        marks = [marked(event, way) for event in good]
        at_once = send(pipeline, way, [*marks, *bad], tmp_path_factory.mktemp(way))
        refused[way] = at_once + letters() - before
    return refused


def test_each_way_refuses_the_same_events(sent: dict[str, int], events: list[dict[str, Any]]) -> None:
    assert sent == dict.fromkeys(WAYS, sum(bool(verdict.lenient(event)) for event in events))


def test_each_way_stores_every_event_under_its_id(
    pipeline: Up, sent: dict[str, int], events: list[dict[str, Any]]
) -> None:
    for way in WAYS:
        expected = {from_openlineage(marked(e, way))["id"] for e in events if not verdict.lenient(e)}
        # A copy, as a program reads it: in whichever order and with whichever spaces.
        ids = ", ".join(f"'{event_id}'" for event_id in sorted(expected))
        query = f"SELECT count() AS n, uniqExact(event_id) AS ids FROM events WHERE event_id IN ({ids})"
        assert pipeline.sql(query) == [{"n": len(expected), "ids": len(expected)}], way


def test_the_rows_of_events_are_the_same(pipeline: Up, sent: dict[str, int]) -> None:
    def stored(way: str) -> list[str]:
        where = f"startsWith(job_namespace, '{way}') OR endsWith(arrayElement(outputs.name, 1), '.{way}')"
        return rows(pipeline, f"SELECT * EXCEPT ({COORDINATES}) FROM events WHERE {where}", way)

    found = {way: stored(way) for way in WAYS}
    assert len(found["way-http"]) > 100
    for way in WAYS[1:]:
        assert found[way] == found["way-http"], way


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_of_derived_tables_are_the_same(pipeline: Up, sent: dict[str, int], table: str) -> None:
    def stored(way: str) -> list[str]:
        where = f"startsWith(job_namespace, '{way}')"
        if table == "dataset_versions":
            where += f" OR endsWith(name, '.{way}')"
        return rows(pipeline, f"SELECT * FROM {table} WHERE {where}", way)

    found = {way: stored(way) for way in WAYS}
    assert len(found["way-http"]) > 1
    for way in WAYS[1:]:
        assert found[way] == found["way-http"], way
