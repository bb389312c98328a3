"""`POST /api/v1/lineage/batch`: what each event of a batch came to, by OpenLineage's specification."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.gateway.conftest import Serve, Served, run_event


def run_ids(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["run"]["runId"] for event in events)


def test_a_batch_that_is_good_is_204_and_on_the_topic(gateway: Served) -> None:
    events = [run_event(f"job-{n}") for n in range(1000)]
    answer = gateway.batch(events)
    assert (answer.status_code, answer.content) == (204, b"")
    assert sorted(record["run"]["id"] for record in gateway.records()) == run_ids(events)


def test_events_of_a_job_keep_their_order(gateway: Served) -> None:
    events = [run_event(f"job-{n % 3}") for n in range(300)]
    assert gateway.batch(events).status_code == 204
    records = gateway.records()
    for n in range(3):
        of_job = [record["run"]["id"] for record in records if record["job"]["name"] == f"job-{n}"]
        assert of_job == [event["run"]["runId"] for event in events[n::3]]


@pytest.mark.parametrize("body", [b"[]", b" [ ] "])
def test_an_empty_batch_is_204(gateway: Served, body: bytes) -> None:
    assert gateway.batch(body).status_code == 204


def test_the_bad_ones_are_named_and_the_good_ones_stored(gateway: Served) -> None:
    good = [run_event("a"), run_event("b")]
    answer = gateway.batch([good[0], {}, "personal-4711", good[1], run_event(run={"runId": ""}), None])
    assert answer.status_code == 200
    content = answer.json()
    assert content["status"] == "partial_success"
    assert content["summary"] == {"received": 6, "successful": 2, "failed": 4, "retriable": 0, "non_retriable": 4}
    assert [failed["index"] for failed in content["failed_events"]] == [1, 2, 4, 5]
    assert all(failed["retriable"] is False for failed in content["failed_events"])
    assert "$.run.runId" in content["failed_events"][2]["reason"]
    assert "personal" not in answer.text
    assert sorted(record["run"]["id"] for record in gateway.records()) == run_ids(good)


def test_a_batch_without_a_good_event_says_so(gateway: Served) -> None:
    answer = gateway.batch([{}, 1])
    assert answer.status_code == 200
    assert answer.json()["summary"]["successful"] == 0
    assert gateway.records() == []


def test_the_answer_follows_the_published_specification(gateway: Served, shared_dir: Path) -> None:
    specification = yaml.safe_load((shared_dir / "openlineage/spec_schemas/OpenLineage.yml").read_text())
    responses = specification["paths"]["/lineage/batch"]["post"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    for events in ([run_event(), {}], [{}]):
        jsonschema.validate(gateway.batch(events).json(), schema)


def test_one_event_too_large_does_not_spoil_the_others(gateway: Served) -> None:
    source = [{"namespace": "n" * 1000, "name": "m" * 1000, "field": "f"}] * 4000
    facet = {"columnLineage": {"fields": {"c": {"inputFields": source}}}}
    answer = gateway.batch([run_event(outputs=[{"namespace": "a", "name": "b", "facets": facet}]), run_event()])
    assert [(f["index"], f["retriable"]) for f in answer.json()["failed_events"]] == [(0, False)]
    assert len(gateway.records()) == 1


@pytest.mark.parametrize(("body", "status"), [(b"{}", 422), (b"7", 422), (b"[", 400), (b"", 400), (b"[NaN]", 400)])
def test_what_is_no_array_is_refused_whole(gateway: Served, body: bytes, status: int) -> None:
    assert gateway.batch(body).status_code == status


def test_lines_of_json(gateway: Served) -> None:
    events = [run_event("a"), run_event("b")]
    body = f"{json.dumps(events[0])}\r\n\n{{broken personal-4711\n{json.dumps(events[1])}\n"
    answer = gateway.batch(body, content_type="application/x-ndjson")
    assert answer.status_code == 200
    assert [failed["index"] for failed in answer.json()["failed_events"]] == [1]
    assert "personal" not in answer.text
    assert gateway.batch(json.dumps(events[0]), content_type="application/x-ndjson").status_code == 204
    packed = gzip.compress("\n".join(map(json.dumps, events)).encode())
    assert gateway.batch(packed, content_type="application/x-ndjson", content_encoding="gzip").status_code == 204
    assert len(gateway.records()) == 5


def test_lines_are_not_taken_where_one_event_belongs(gateway: Served) -> None:
    assert gateway.post(json.dumps(run_event()), content_type="application/x-ndjson").status_code == 415


def test_a_batch_that_can_not_be_done_in_time_claims_only_what_is_stored(serve: Serve) -> None:
    gateway = serve(acknowledge_seconds=0.1)
    events = [run_event(f"job-{n}", pad="x" * 300) for n in range(12_000)]
    answer = gateway.batch(events)
    assert answer.status_code in (200, 503)
    if answer.status_code == 200:
        summary = answer.json()["summary"]
        failed = {entry["index"] for entry in answer.json()["failed_events"]}
        assert all(entry["retriable"] for entry in answer.json()["failed_events"])
        assert summary["successful"] + summary["failed"] == summary["received"] == len(events)
        assert summary["failed"] == summary["retriable"] == len(failed) > 0
        stored = {record["run"]["id"] for record in gateway.records()}
        assert stored >= {event["run"]["runId"] for n, event in enumerate(events) if n not in failed}
