"""OpenLineage JSON goes in and comes out the same, whatever it holds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.schemas import avro
from proventrail.schemas.openlineage import event_id, format_time, from_openlineage, job_key, parse_time, to_openlineage
from proventrail.schemas.verdict import lenient

Json = dict[str, Any]


def events_below(folder: Path) -> list[tuple[str, Any]]:
    """(file, JSON) of every file that may hold an event; a recorded request counts as its body."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        if "spec_schemas" in path.parts:
            continue
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "body" in content:
            content = content["body"]
        found += [(str(path.relative_to(folder)), e) for e in (content if isinstance(content, list) else [content])]
    return found


def test_every_event_of_the_corpus_comes_back(shared_dir: Path) -> None:
    accepted = 0
    for name, event in [*events_below(shared_dir / "openlineage"), *events_below(shared_dir / "recorded")]:
        if lenient(event):
            continue
        accepted += 1
        record = avro.decode("lineage_event", avro.encode("lineage_event", from_openlineage(event)))
        assert to_openlineage(record) == event, name
    assert accepted >= 140


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAME = st.text(min_size=1, max_size=8)
FACETS = st.none() | st.dictionaries(
    st.sampled_from(["schema", "version", "columnLineage", "parent", "nominalTime", "jobType", "x"]), JSON, max_size=3
)


@st.composite
def _objects(draw: st.DrawFn, *required: str) -> Json:
    obj: Json = {name: draw(NAME) for name in required}
    for optional in ("facets", "inputFacets", "outputFacets"):
        if draw(st.booleans()):
            obj[optional] = draw(FACETS)
    if draw(st.booleans()):
        obj[draw(st.text(max_size=4).filter(lambda k: k not in obj))] = draw(JSON)
    return obj


@st.composite
def _events(draw: st.DrawFn) -> Json:
    dataset = _objects("namespace", "name")
    event: Json = {"eventTime": draw(st.sampled_from(TIMES))}
    kind = draw(st.sampled_from(["run", "job", "dataset"]))
    if kind == "dataset":
        event["dataset"] = draw(dataset)
    else:
        event["job"] = draw(dataset)
        for side in ("inputs", "outputs"):
            if draw(st.booleans()):
                event[side] = draw(st.none() | st.lists(dataset, max_size=2))
    if kind == "run":
        event["run"] = draw(_objects("runId"))
    for name in ("producer", "schemaURL", "eventType", "extra", "run2"):
        if draw(st.booleans()):
            event[name] = draw(JSON)
    return event


TIMES = [
    "2026-11-24T09:30:00Z",
    "2026-11-24T09:30:00.5Z",
    "2026-11-24T09:30:00.500Z",
    "2026-11-24T09:30:00.123456789Z",
    "2026-11-24T09:30:00+05:30",
    "2026-11-24T09:30:00",
    "2026-11-24 09:30:00.000001+00:00",
]


@given(_events())
def test_anything_that_is_accepted_comes_back(event: Json) -> None:
    assert lenient(event) == []
    record = avro.decode("lineage_event", avro.encode("lineage_event", from_openlineage(event)))
    assert to_openlineage(record) == event


@given(JSON)
def test_the_lenient_verdict_never_fails(value: Any) -> None:
    for event in (value, {"eventTime": value, "run": value, "job": value, "inputs": [value]}, {"dataset": value}):
        assert all(problem.path.startswith("$") for problem in lenient(event))


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("2020-12-28T19:52:00.001+10:00", 1609149120001000),
        ("1970-01-01", None),
        ("yesterday", None),
        ("1970-13-01T00:00:00Z", None),
        (7, None),
        (None, None),
    ],
)
def test_times(text: Any, micros: int | None) -> None:
    assert parse_time(text) == micros


@given(st.integers(0, 7_258_118_399_999_999))
def test_canonical_times_need_no_text(micros: int) -> None:
    assert parse_time(format_time(micros)) == micros


def test_ids_follow_the_content_and_not_its_writing() -> None:
    event = {"eventTime": TIMES[0], "job": {"namespace": "n", "name": "ü"}, "run": {"runId": "r"}, "b": [1, {"c": 2}]}
    items = list(event.items())
    random.Random(1).shuffle(items)
    assert event_id(dict(items)) == event_id(event)
    assert event_id({**event, "b": [1, {"c": 3}]}) != event_id(event)


@pytest.mark.parametrize(
    ("shape", "url", "kind"),
    [
        ({"run", "job"}, None, "RUN"),
        ({"job"}, None, "JOB"),
        ({"dataset"}, None, "DATASET"),
        ({"job"}, "https://foreign.example/9-9-9/Other.json#/$defs/RunEvent", "JOB"),
        ({"run", "job"}, 7, "RUN"),
        ({"dataset", "job"}, "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent", "JOB"),
        ({"dataset", "job"}, "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent", "DATASET"),
    ],
)
def test_the_kind_follows_the_shape(shape: set[str], url: Any, kind: str) -> None:
    things = {"run": {"runId": "r"}, "job": {"namespace": "n", "name": "j"}, "dataset": {"namespace": "n", "name": "d"}}
    event = {"eventTime": TIMES[0], "schemaURL": url, **{name: things[name] for name in shape}}
    record = from_openlineage(event)
    assert record["kind"] == kind
    assert to_openlineage(record) == event


def test_typed_fields_are_read_out_of_facets() -> None:
    lineage = {"fields": {"c": {"inputFields": [{"namespace": "n", "name": "d", "field": "f",
               "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION"}]}]}}}  # fmt: skip
    event = {
        "eventTime": TIMES[0],
        "eventType": "COMPLETE",
        "run": {
            "runId": "r",
            "facets": {
                "parent": {"run": {"runId": "p"}, "job": {"namespace": "pn", "name": "pj"},
                           "root": {"run": {"runId": "q"}, "job": {"namespace": "qn", "name": "qj"}}},
                "nominalTime": {"nominalStartTime": "1970-01-01T00:00:01Z"},
            },
        },
        "job": {"namespace": "n", "name": "j", "facets": {"jobType": {"processingType": "BATCH", "integration": "X"}}},
        "outputs": [
            {"namespace": "n", "name": "o", "facets": {"version": {"datasetVersion": "7"}, "columnLineage": lineage}}
        ],
    }  # fmt: skip
    record = from_openlineage(event)
    assert record["parent"]["root_job_name"] == "qj"
    assert (record["nominal_start"], record["processing_type"], record["integration"]) == (1_000_000, "BATCH", "X")
    assert record["outputs"][0]["version"] == "7"
    assert record["column_lineage"][0]["transformation"] == "DIRECT:AGGREGATION"
    assert job_key(record) == b"n/j"


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (7, "$"),
        ({}, "$.eventTime"),
        ({"eventTime": "0001-01-01T00:00:00Z", "job": {"namespace": "n", "name": "j"}}, "$.eventTime"),
        ({"eventTime": TIMES[0]}, "$"),
        ({"eventTime": TIMES[0], "run": {"runId": ""}, "job": {"namespace": "n", "name": "j"}}, "$.run.runId"),
        ({"eventTime": TIMES[0], "run": {"runId": "r"}}, "$.job"),
        ({"eventTime": TIMES[0], "job": {"namespace": "n"}}, "$.job.name"),
        ({"eventTime": TIMES[0], "job": {"namespace": "n", "name": "j"}, "inputs": [{}]}, "$.inputs[0].namespace"),
        ({"eventTime": TIMES[0], "job": {"namespace": "n", "name": "j"}, "outputs": {}}, "$.outputs"),
        ({"eventTime": TIMES[0], "job": {"namespace": "n", "name": "j", "facets": []}}, "$.job.facets"),
    ],
)
def test_what_cannot_be_kept_is_named_by_its_path(event: Any, path: str) -> None:
    assert path in [problem.path for problem in lenient(event)]
