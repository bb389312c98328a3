"""Refine as a pure function: each row refined or refused, names, enrichment, the same bytes whatever the batches."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proventrail.schemas import avro
from proventrail.schemas.models import CatalogEntry
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.verdict import lenient
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.refine import Refine, Refined
from proventrail.stream_processors.steps.batch import RawBatch

TOPIC_ID = "11111111-2222-4333-8444-555555555555"
Json = dict[str, Any]


def raw(values: list[bytes | None], topic: str = "lineage.events", start: int = 0) -> RawBatch:
    n = len(values)
    offsets = list(range(start, start + n))
    return RawBatch(topic, TOPIC_ID, 2, offsets, [1_700_000_000_500 + o for o in offsets], [b"k"] * n, values)


def event(i: int = 0, **fields: Any) -> Json:
    return {
        "id": f"00000000-0000-4000-8000-{i:012d}",
        "source": "s",
        "time": 1_700_000_000_000_000 + i,
        "kind": "RUN",
        "type": "START",
        "run": {"id": f"RUN-{i % 5}"},
        "job": {"namespace": "n", "name": f"j{i % 3}"},
        "inputs": [{"namespace": "s3a://B", "name": f"/in/{i % 4}/"}],
        "outputs": [{"namespace": "s3://B", "name": "out"}],
        "column_lineage": [],
        **fields,
    }


def refine(values: list[bytes | None], catalog: Catalog | None = None, **options: Any) -> Refined:
    return Refine(catalog or Catalog(), **options)(raw(values))


def rows(done: Refined) -> list[Json]:
    return [avro.decode("refined_event", value) for value in done.values]


def letters(done: Refined) -> list[Json]:
    return [avro.decode("dead_letter", value) for _, value in done.dead_letters.values()]


def test_a_row_carries_its_coordinates_and_normal_names() -> None:
    [row] = rows(refine([avro.encode("lineage_event", event(7))]))
    assert (row["raw_topic_id"], row["raw_partition"], row["raw_offset"]) == (TOPIC_ID, 2, 0)
    assert (row["run_id"], row["raw_run_id"]) == ("run-2", "RUN-2")
    given_, kept = row["inputs"][0], row["outputs"][0]
    assert (given_["namespace"], given_["name"]) == ("s3://B", "in/3")
    assert (given_["raw_namespace"], given_["raw_name"]) == ("s3a://B", "/in/3/")
    assert (kept["raw_namespace"], kept["raw_name"]) == ("", "")
    assert row["lateness_ms"] == 1_700_000_000_500 - 1_700_000_000_000
    assert row["schema_id"] == avro.fingerprint("lineage_event").hex()


def test_a_dataset_event_is_about_its_output() -> None:
    told = {**event(1), "kind": "DATASET", "run": None, "job": None, "inputs": None, "outputs": None}
    told["dataset"] = {"namespace": "s3://B", "name": "d", "version": "3"}
    told["column_lineage"] = [
        {"output": 0, "output_field": "c", "input_namespace": "s3a://B", "input_name": "x", "input_field": "f"}
    ]
    values = [avro.encode("lineage_event", e) for e in (event(0), told, event(2))]
    first, row, last = rows(refine(values))
    assert [d["name"] for d in row["outputs"]] == ["d"]
    assert row["outputs"][0]["version"] == "3"
    assert row["column_lineage"][0]["output_name"] == "d"
    assert row["column_lineage"][0]["input_namespace"] == "s3://B"
    assert [d["name"] for d in (first["outputs"] + last["outputs"])] == ["out", "out"]
    assert row["job_name"] == row["run_id"] == ""


def test_facets_tell_versions() -> None:
    def with_facets(i: int, sql: str, schema: Json | None = None) -> bytes:
        job = {"namespace": "n", "name": "j", "facets": {"sql": json.dumps({"query": sql}), "x": "1"}}
        out = {"namespace": "n", "name": "o", "facets": {"schema": json.dumps(schema)} if schema else None}
        return avro.encode("lineage_event", event(i, job=job, outputs=[out]))

    fields = {"fields": [{"name": "a", "type": "int"}]}
    found = rows(
        refine(
            [
                with_facets(0, "SELECT  1", fields),
                with_facets(1, "SELECT\n1", {"fields": [{"name": "a", "type": "int", "description": "d"}]}),
                with_facets(2, "SELECT 2", {"fields": [{"name": "a", "type": "long"}]}),
                avro.encode("lineage_event", event(3)),
            ]
        )
    )
    versions = [row["transformation_version"] for row in found]
    assert versions[0] == versions[1] != versions[2] != versions[3] == ""
    prints = [row["outputs"][0]["schema_fingerprint"] for row in found]
    assert prints[0] == prints[1] != prints[2] != prints[3] == ""


def entry(**fields: Any) -> Json:
    return CatalogEntry(**{"kind": "database", **fields}).to_record()


def test_the_catalogue_enriches() -> None:
    catalog = Catalog(
        [
            entry(namespace="s3://B", name="*", kind="file-store", owner="pattern"),
            entry(namespace="s3a://B/", name="/in/1/", owner="exact", classification="pii", retention_class="sox"),
            entry(namespace="s3://*", name="in/2", owner="other", retention_class="hipaa", regulations=["HIPAA"]),
        ]
    )
    found = rows(refine([avro.encode("lineage_event", event(i)) for i in (1, 2, 3)], catalog))
    assert [row["inputs"][0]["owner"] for row in found] == ["exact", "other", "pattern"]
    assert [row["retention_class"] for row in found] == ["sox", "hipaa", "operational"]
    assert found[0]["catalog_version"] == catalog.version != ""
    both = event(1, inputs=[{"namespace": "s3://B", "name": "in/1"}, {"namespace": "s3://C", "name": "in/2"}])
    [row] = rows(refine([avro.encode("lineage_event", both)], catalog))
    assert (row["retention_class"], row["regulations"]) == ("sox", ["HIPAA"])


INVALID = [
    ({"id": "no-uuid"}, "id"),
    ({"time": -1}, "time"),
    ({"time": 2**62}, "time"),
    ({"run": None}, "run.id"),
    ({"run": {"id": ""}}, "run.id"),
    ({"job": None}, "job.namespace"),
    ({"job": {"namespace": "n", "name": ""}}, "job.name"),
    ({"kind": "DATASET"}, "dataset"),
    ({"inputs": [{"namespace": "", "name": "x"}]}, "inputs"),
    (
        {"column_lineage": [
            {"output": 1, "output_field": "", "input_namespace": "a", "input_name": "b", "input_field": "c"}
        ]},
        "column_lineage.output",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "path"), INVALID)
def test_what_breaks_a_rule_is_a_dead_letter_with_its_bytes(wrong: Json, path: str) -> None:
    value = avro.encode("lineage_event", event(1, **wrong))
    done = refine([avro.encode("lineage_event", event(0)), value, avro.encode("lineage_event", event(2))])
    assert done.rows == [0, 2]
    [letter] = letters(done)
    assert (letter["reason"], letter["path"], letter["raw_offset"]) == ("invalid", path, 1)
    assert (letter["value"], letter["key"]) == (value, b"k")


def test_an_event_that_grew_too_large_is_a_dead_letter() -> None:
    large = event(0, job={"namespace": "n", "name": "j", "facets": {"x": json.dumps("y" * 5000)}})
    values = [avro.encode("lineage_event", e) for e in (large, event(1))]
    done = refine(values, max_value_bytes=2000)
    assert done.rows == [1]
    assert [letter["reason"] for letter in letters(done)] == ["oversize"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["good", "null", "junk", "cut", "invalid"]), max_size=25))
def test_every_record_is_refined_or_refused_never_both(kinds: list[str]) -> None:
    make = {
        "good": lambda i: avro.encode("lineage_event", event(i)),
        "null": lambda i: None,
        "junk": lambda i: b"\xc3\x01junk",
        "cut": lambda i: avro.encode("lineage_event", event(i))[:-9],
        "invalid": lambda i: avro.encode("lineage_event", event(i, time=-5)),
    }
    done = refine([make[kind](i) for i, kind in enumerate(kinds)])
    assert sorted([*done.rows, *done.dead_letters]) == list(range(len(kinds)))
    assert done.rows == [i for i, kind in enumerate(kinds) if kind == "good"]
    assert [row["raw_offset"] for row in rows(done)] == done.rows


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_batch_boundaries_change_no_byte(n: int, cuts: random.Random) -> None:
    values = [avro.encode("lineage_event", event(i)) for i in range(n)]
    whole = Refine(Catalog())(raw(values))
    parts: list[bytes] = []
    events = 0
    at = 0
    while at < n:
        size = cuts.randint(1, n - at)
        done = Refine(Catalog())(raw(values[at : at + size], start=at))
        parts += done.values
        events += sum(avro.decode("observation", value)["events"] for _, value in done.observations)
        at += size
    assert parts == whole.values
    assert events == n == sum(avro.decode("observation", value)["events"] for _, value in whole.observations)


def test_observations_sum_up_what_a_batch_told() -> None:
    emitter = {"id": "e", "epoch": 5}
    told = [
        event(i, type=kind, run={"id": "r"}, job={"namespace": "n", "name": "j"}, emitter={**emitter, "sequence": i})
        for i, kind in enumerate(["START", "RUNNING", "COMPLETE"])
    ]
    [(key, value)] = refine([avro.encode("lineage_event", e) for e in told]).observations
    seen = avro.decode("observation", value)
    assert key == str(seen["bucket"]).encode()
    assert seen["emitters"] == [{"id": "e", "epoch": 5, "first_sequence": 0, "last_sequence": 2, "count": 3}]
    [run] = seen["runs"]
    assert (run["events"], run["starts"], run["terminals"], run["end_state"]) == (3, 1, 1, "COMPLETE")
    assert run["inputs"] == ["s3://B\nin/0", "s3://B\nin/1", "s3://B\nin/2"]
    assert (run["started_at"], run["ended_at"]) == (told[0]["time"], told[2]["time"])


def test_json_and_avro_lead_to_the_same_rows(shared_dir: Path) -> None:
    """The corpus over the topic `openlineage` and as the gateway would send it."""
    told = []
    for path in sorted((shared_dir / "openlineage").rglob("*.json")):
        content = json.loads(path.read_text())
        if "spec_schemas" not in path.parts and not lenient(content):
            told.append(content)
    assert len(told) > 40
    by_json = Refine(Catalog())(raw([json.dumps(e).encode() for e in told], "openlineage"))
    by_avro = Refine(Catalog())(raw([avro.encode("lineage_event", from_openlineage(e)) for e in told]))
    assert by_json.dead_letters == by_avro.dead_letters == {}
    unlike = {"raw_topic"}
    for one, other in zip(rows(by_json), rows(by_avro), strict=True):
        assert {k: v for k, v in one.items() if k not in unlike} == {k: v for k, v in other.items() if k not in unlike}


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [
        (None, "empty", ""),
        (b"", "empty", ""),
        (b"{", "malformed", "$"),
        (b"\xff", "malformed", "$"),
        (b"[" * 20000, "malformed", "$"),
        (b"7", "invalid", "$"),
        (b"{}", "invalid", "$.eventTime"),
    ],
)
def test_bad_json_is_a_dead_letter(value: bytes | None, reason: str, path: str) -> None:
    done = Refine(Catalog())(raw([value], "openlineage"))
    assert [(letter["reason"], letter["path"]) for letter in letters(done)] == [(reason, path)]


def test_no_message_quotes_an_event() -> None:
    secret = "hunter2-secret"
    told = event(0, time=-1, source=secret, run={"id": secret})
    done = refine([avro.encode("lineage_event", told), secret.encode()])
    assert len(done.reasons) == 2
    assert all(secret not in f"{item.path} {item.message}" for item in done.reasons)
