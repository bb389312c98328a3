"""`POST /api/v1/lineage`: each status, with a real broker behind; what was acknowledged is on the topic."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from proventrail.gateway import GatewayError
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage, job_key
from tests.gateway.conftest import Serve, Served, run_event

SECRET = "personal-4711"


def assert_no_secret(text: str) -> None:
    assert SECRET not in text


def test_an_accepted_event_is_on_the_topic_when_201_is_there(gateway: Served) -> None:
    event = run_event(inputs=[{"namespace": "s3://b", "name": "x"}], custom={"a": [1, None]})
    answer = gateway.post(event)
    assert answer.status_code == 201
    assert answer.content == b""
    [message] = gateway.messages()
    expected = from_openlineage(event)
    assert message.key() == job_key(expected) == b"test/job"
    assert message.value() == avro.encode("lineage_event", expected)


def test_events_of_a_job_share_a_partition(gateway: Served) -> None:
    for n in range(30):
        assert gateway.post(run_event(f"job-{n % 5}")).status_code == 201
    by_key: dict[bytes, set[int]] = {}
    for message in gateway.messages():
        by_key.setdefault(message.key(), set()).add(message.partition())
    assert len(by_key) == 5
    assert all(len(partitions) == 1 for partitions in by_key.values())


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON ; charset="utf-8"',
        "application/json; charset=us-ascii; profile=x",
    ],
)
def test_content_types_that_are_json(gateway: Served, content_type: str) -> None:
    assert gateway.post(json.dumps(run_event()), content_type=content_type).status_code == 201


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json; charset=utf-16", ""],
)
def test_other_content_types_are_415(gateway: Served, content_type: str) -> None:
    assert gateway.post(json.dumps(run_event()), content_type=content_type).status_code == 415
    assert gateway.records() == []


def test_gzip_bodies(gateway: Served) -> None:
    body = json.dumps(run_event("gz")).encode()
    members = gzip.compress(body[:50]) + gzip.compress(body[50:])
    assert gateway.post(gzip.compress(body), content_encoding="gzip").status_code == 201
    assert gateway.post(members, content_encoding="x-gzip").status_code == 201
    assert gateway.post(body, content_encoding="identity").status_code == 201
    assert [record["job"]["name"] for record in gateway.records()] == ["gz"] * 3
    refused = gateway.post(body, content_encoding="br")
    assert refused.status_code == 415
    assert refused.headers["accept-encoding"] == "gzip, identity"


@pytest.mark.parametrize("damage", ["not gzip", "cut", "checksum"])
def test_bad_gzip_is_400(gateway: Served, damage: str) -> None:
    packed = gzip.compress(json.dumps(run_event()).encode())
    body = {"not gzip": b"{}", "cut": packed[:-9], "checksum": packed[:-8] + b"\0" * 8}[damage]
    answer = gateway.post(body, content_encoding="gzip")
    assert answer.status_code == 400
    assert "gzip" in answer.json()["error"]
    assert gateway.records() == []


def test_a_body_over_the_limit_is_413_however_it_comes(serve: Serve) -> None:
    gateway = serve(max_body_bytes=10_000)
    large = json.dumps(run_event(pad="x" * 10_000)).encode()
    assert gateway.post(large).status_code == 413
    chunked = gateway.client.post(
        "/api/v1/lineage", content=iter([large[:5000], large[5000:]]), headers={"Content-Type": "application/json"}
    )
    assert chunked.status_code == 413
    assert gateway.post(gzip.compress(large), content_encoding="gzip").status_code == 413
    bomb = gzip.compress(b" " * 50_000_000)
    assert gateway.post(bomb, content_encoding="gzip").status_code == 413
    assert gateway.post(gzip.compress(bomb), content_encoding="gzip").status_code in (400, 413)
    fits = json.dumps(run_event(pad="")).encode()
    assert gateway.post(fits + b" " * (10_000 - len(fits))).status_code == 201
    assert len(gateway.records()) == 1


def test_an_event_of_10_mib_is_taken(gateway: Served) -> None:
    event = run_event(pad="")
    event["pad"] = "x" * (gateway.settings.max_body_bytes - len(json.dumps(event)))
    body = json.dumps(event).encode()
    assert len(body) == 10 << 20
    assert gateway.post(body).status_code == 201
    [message] = gateway.messages()
    assert message.value() == avro.encode("lineage_event", from_openlineage(event))
    assert gateway.post(body + b" ").status_code == 413


def test_an_event_too_large_as_avro_is_413_with_its_place(gateway: Served) -> None:
    source = [{"namespace": "n" * 1000, "name": "m" * 1000, "field": "f"}] * 4000
    facet = {"columnLineage": {"fields": {"c": {"inputFields": source}}}}
    answer = gateway.post(run_event(outputs=[{"namespace": "a", "name": "b", "facets": facet}]))
    assert answer.status_code == 413
    assert answer.json()[0]["path"] == "$"
    assert gateway.records() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"eventTime": "personal-4711"',
        b'{"a": NaN, "b": "personal-4711"}',
        b'{"a": "personal-4711\xff"}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"personal-4711":' * 10_000 + b"1" + b"}" * 10_000,
    ],
)
def test_malformed_json_is_400_without_a_value(gateway: Served, body: bytes) -> None:
    answer = gateway.post(body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert_no_secret(answer.text)


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ([], "$"),
        ("personal-4711", "$"),
        (7, "$"),
        ({}, "$.eventTime"),
        (run_event(eventTime="personal-4711"), "$.eventTime"),
        (run_event(eventTime=None), "$.eventTime"),
        (run_event(run={"runId": 4711}), "$.run.runId"),
        (run_event(run=SECRET), "$.run"),
        (run_event(job={"namespace": "a"}), "$.job.name"),
        (run_event(job={"namespace": "a", "name": "b", "facets": SECRET}), "$.job.facets"),
        (run_event(inputs=[{"namespace": "a", "name": "b"}, {"name": SECRET}]), "$.inputs[1].namespace"),
        (run_event(outputs={"personal-4711": 1}), "$.outputs"),
    ],
)
def test_an_invalid_event_is_422_with_paths_and_without_values(gateway: Served, event: Any, path: str) -> None:
    answer = gateway.post(json.dumps(event))
    assert answer.status_code == 422
    problems = answer.json()
    assert all(set(problem) == {"path", "reason"} for problem in problems)
    assert path in [problem["path"] for problem in problems]
    assert_no_secret(answer.text)
    assert gateway.records() == []


@pytest.mark.parametrize("depth", [300, 900, 990, 1000, 1015])
def test_depth_that_json_allows_is_never_500(gateway: Served, depth: int) -> None:
    nested: Any = 1
    body = json.dumps(run_event(deep=nested)).replace('"deep": 1', '"deep": ' + "[" * depth + "]" * depth)
    assert gateway.post(body).status_code in (201, 400, 422)


def test_huge_integers_survive(gateway: Served) -> None:
    numbers = {"big": 2**70, "nested": {"n": -(10**25)}, "just": 2**64 - 1, "small": -(2**63)}
    assert gateway.post(run_event(**numbers)).status_code == 201
    assert json.loads(gateway.records()[0]["extra"]) == numbers


def test_equal_keys_the_last_one_counts(gateway: Served) -> None:
    body = json.dumps(run_event("first")).replace('"name": "first"', '"name": "first", "name": "last"')
    assert gateway.post(body).status_code == 201
    assert gateway.records()[0]["job"]["name"] == "last"


def test_a_string_that_is_no_unicode_is_refused_on_every_way_in(gateway: Served) -> None:
    body = json.dumps(run_event("lone \ud800"))
    assert gateway.post(body).status_code == 400
    with_long_number = json.dumps(run_event("lone \ud800", n=10**30))
    assert gateway.post(with_long_number).status_code == 400
    assert gateway.records() == []


def test_strict_refuses_what_lenient_takes(serve: Serve, shared_dir: Path) -> None:
    event = run_event(run={"runId": "not-a-uuid"})
    assert serve(verdict="lenient").post(event).status_code == 201
    strict = serve(verdict="strict", openlineage_spec=shared_dir / "openlineage/spec_schemas")
    answer = strict.post(event)
    assert answer.status_code == 422
    assert "$.run.runId" in [problem["path"] for problem in answer.json()]
    assert "not-a-uuid" not in answer.text
    assert strict.post(run_event()).status_code == 201


def test_strict_without_the_specification_does_not_start(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"no OpenLineage\.json"):
        serve(verdict="strict", openlineage_spec=tmp_path)


def test_200_requests_at_once(gateway: Served) -> None:
    events = [run_event(f"job-{n}") for n in range(200)]
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda event: gateway.post(event).status_code, events))
    assert statuses == [201] * 200
    assert {r["run"]["id"] for r in gateway.records()} == {event["run"]["runId"] for event in events}
    assert len(gateway.records()) == 200
