"""The step over columns: nothing planted comes out, lineage is the same graph, the same bytes whatever the batches."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pytest

from proventrail.privacy.contracts import Wanted
from proventrail.privacy.errors import AnonymiseError
from proventrail.privacy.policy.fields import DATASET, EDGE, FACETS, FIELDS, JSON, OWN
from proventrail.privacy.policy.policy import Policy, default_policy, read_policy
from proventrail.schemas import avro
from proventrail.schemas.columns import arrow_schema, decode_batch
from proventrail.schemas.models import CatalogEntry
from proventrail.schemas.openlineage import from_openlineage, job_key
from proventrail.schemas.verdict import lenient
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.refine import Place, Refine, Refined
from proventrail.stream_processors.steps.anonymise import Anonymiser
from proventrail.stream_processors.steps.batch import RawBatch

from ..privacy.standin import GROUPS, Detector, Subject, Vault, normalise, seal

TOPIC_ID = "11111111-2222-4333-8444-555555555555"
MAIL = "ann.lee@corp.com"
Json = dict[str, Any]


def anonymiser(
    policy: Policy | None = None, vault: Vault | None = None, detector: Detector | None = None
) -> Anonymiser:
    return Anonymiser(policy or default_policy(GROUPS), detector or Detector(), normalise, vault or Vault(), seal)


def raw(values: Sequence[bytes | None], start: int = 0) -> RawBatch:
    n = len(values)
    offsets = list(range(start, start + n))
    return RawBatch(
        "lineage.events", TOPIC_ID, 0, offsets, [1_700_000_000_500 + o for o in offsets], [b"k"] * n, [*values]
    )


def event(i: int = 0, **fields: Any) -> bytes:
    told = {
        "id": f"00000000-0000-4000-8000-{i:012d}",
        "source": "s",
        "time": 1_700_000_000_000_000 + i,
        "kind": "RUN",
        "type": "START",
        "run": {"id": f"00000000-0000-4000-9000-{i:012d}"},
        "job": {"namespace": "n", "name": f"j{i % 3}"},
        "inputs": [{"namespace": "s3://b", "name": f"in/{i % 4}"}],
        "outputs": [{"namespace": "s3://b", "name": "out"}],
        "column_lineage": [],
        **fields,
    }
    return avro.encode("lineage_event", told)


def refine(values: Sequence[bytes | None], by: Anonymiser | None = None, catalog: Catalog | None = None) -> Refined:
    return Refine(catalog or Catalog(), by or anonymiser())(raw(values))


def rows(done: Refined) -> list[Json]:
    return [avro.decode("refined_event", value) for value in done.values]


def pseudonym(kind: str, value: str) -> str:
    [subject] = Vault().subjects([(kind, value)])
    return f"{kind}_{subject.subject_id}"


def findings(row: Json) -> set[tuple[str, str, str, int]]:
    return {(f["path"], f["kind"], f["action"], f["count"]) for f in row["privacy"]}


# -- columns -----------------------------------------------------------------------------------------------------------


def test_every_string_column_is_anonymised_or_is_refines_own() -> None:
    def strings(kind: pa.DataType) -> bool:
        if pa.types.is_list(kind):
            return strings(kind.value_type)
        if pa.types.is_struct(kind):
            return any(strings(part.type) for part in kind)
        return bool(pa.types.is_string(kind) or pa.types.is_map(kind))

    found = {field.name for field in arrow_schema("refined_event") if strings(field.type)}
    dataset = {part.name for part in arrow_schema("refined_event").field("inputs").type.value_type}
    edge = {part.name for part in arrow_schema("refined_event").field("column_lineage").type.value_type}
    assert found == {*FIELDS, *JSON, *FACETS, "inputs", "outputs", "column_lineage", *(n for n in OWN if "." not in n)}
    assert edge == set(EDGE)
    for side in ("inputs", "outputs"):
        own = {name.removeprefix(f"{side}.") for name in OWN if name.startswith(f"{side}.")}
        assert dataset == {*DATASET, "facets", "io_facets", "extra", *own}


def test_an_event_is_told_what_was_found_in_it() -> None:
    job = {"namespace": "n", "name": f"daily/{MAIL}", "facets": {"note": json.dumps({"a": MAIL, "b": [MAIL, MAIL]})}}
    inputs = [
        {"namespace": "s3://b", "name": f"home/{MAIL}", "facets": {f"x {MAIL}": "{}"}},
        {"namespace": "s3://b", "name": "plain", "extra": json.dumps({"password": "pw"})},
    ]
    first, second = rows(refine([event(0, job=job, inputs=inputs, actor="ann"), event(1)]))
    mail = pseudonym("email", MAIL)
    assert first["job_name"] == f"daily/{mail}"
    assert first["actor"] == pseudonym("home-user", "ann")
    assert json.loads(first["job_facets"]["note"]) == {"a": mail, "b": [mail, mail]}
    assert list(first["inputs"][0]["facets"]) == [f"x {mail}"]
    assert first["privacy"] == [
        {"path": path, "kind": kind, "action": action, "dataset": dataset, "count": count}
        for path, kind, action, dataset, count in [
            ("actor", "home-user", "pseudonymise", "", 1),
            ("inputs[].extra.password", "secret", "redact", "s3://b\nplain", 1),
            ("inputs[].facets.*", "email", "pseudonymise", f"s3://b\nhome/{mail}", 1),
            ("inputs[].name", "email", "pseudonymise", f"s3://b\nhome/{mail}", 1),
            ("job.facets.note.a", "email", "pseudonymise", "", 1),
            ("job.facets.note.b[]", "email", "pseudonymise", "", 2),
            ("job.name", "email", "pseudonymise", "", 1),
        ]
    ]
    assert second["privacy"] == []
    assert first["policy_version"] == second["policy_version"] == default_policy(GROUPS).version


def test_keys_of_records_are_made_of_the_new_names() -> None:
    dataset = {"namespace": f"s3a://b/{MAIL}", "name": "/d/"}
    told = [
        event(0, job={"namespace": MAIL, "name": "j"}),
        event(1),
        event(2, kind="DATASET", run=None, job=None, inputs=None, outputs=None, dataset=dataset),
    ]
    done = refine(told)
    mail = pseudonym("email", MAIL)
    assert done.keys == [f"{mail}/j".encode(), b"n/j1", f"s3a://b/{mail}//d/".encode()]
    plain = Refine(Catalog())(raw(told))
    assert plain.keys == [job_key(avro.decode("lineage_event", value)) for value in told]


def test_observations_sum_up_findings_by_job_and_dataset() -> None:
    told = [event(i, inputs=[{"namespace": "s3://b", "name": MAIL}], actor="ann") for i in range(6)]
    done = refine(told)
    seen = [f for _, value in done.observations for f in avro.decode("observation", value)["privacy"]]
    mail = pseudonym("email", MAIL)
    assert sorted((f["job_name"], f["dataset"], f["kind"], f["path"], f["count"]) for f in seen) == [
        (job, *rest)
        for job in ("j0", "j1", "j2")
        for rest in [("", "home-user", "actor", 2), (f"s3://b\n{mail}", "email", "inputs[].name", 2)]
    ]
    assert not any(MAIL.encode() in key + value for key, value in done.observations)


def test_the_vault_is_asked_once_a_batch_and_not_at_all_without_need() -> None:
    vault = Vault()
    by = anonymiser(vault=vault)
    refine([event(i, actor=f"user{i % 3}", job={"namespace": "n", "name": MAIL}) for i in range(50)], by)
    assert [sorted(call) for call in vault.calls] == [
        [("email", MAIL), ("home-user", "user0"), ("home-user", "user1"), ("home-user", "user2")]
    ]
    refine([event(1)], by)
    assert len(vault.calls) == 1


def test_a_text_is_scanned_once() -> None:
    detector = Detector()
    by = anonymiser(detector=detector)
    told = [event(i, run={"id": "r", "facets": {"x": json.dumps({"a": MAIL})}}) for i in range(20)]
    first = refine(told, by).values
    scans = detector.scans
    assert refine(told, by).values == first
    assert detector.scans == scans


def test_a_second_pass_changes_nothing() -> None:
    facets = {"x": json.dumps({MAIL: [MAIL, "/home/ann/x", "postgres://u:pw@h"]}), "sql": json.dumps({"query": MAIL})}
    batch = Refine(Catalog(), by := anonymiser())(
        raw([event(0, job={"namespace": "n", "name": MAIL, "facets": facets})])
    )
    once, _ = decode_batch("refined_event", batch.values)
    twice = by(once)
    kept = [name for name in once.schema.names if name != "privacy"]
    assert twice.select(kept).equals(once.select(kept))
    assert twice["privacy"].to_pylist() == [[]]


def test_a_version_of_code_is_not_made_of_what_was_taken_out() -> None:
    def version(sql: str) -> str:
        facets = {"sql": json.dumps({"query": sql})}
        [row] = rows(refine([event(0, job={"namespace": "n", "name": "j", "facets": facets})]))
        return str(row["transformation_version"])

    plain = Refine(Catalog())
    facets = {"sql": json.dumps({"query": f"SELECT '{MAIL}'"})}
    done = plain(raw([event(0, job={"namespace": "n", "name": "j", "facets": facets})]))
    assert version(f"SELECT '{MAIL}'") != rows(done)[0]["transformation_version"]
    assert version(f"SELECT '{MAIL}'") == version(f"SELECT '{MAIL.title()}'") != version("SELECT 'bob@corp.com'")
    assert version("SELECT 1") == version("SELECT  1")


def test_a_schema_fingerprint_is_not_made_of_what_was_taken_out() -> None:
    facet = json.dumps({"fields": [{"name": MAIL, "type": "int"}]})
    told = [event(0, inputs=[{"namespace": "n", "name": "d", "facets": {"schema": facet}}])]
    before = rows(Refine(Catalog())(raw(told)))[0]["inputs"][0]
    after = rows(refine(told))[0]["inputs"][0]
    assert before["schema_fingerprint"] != after["schema_fingerprint"] != ""


def policy_of(folder: Path, rules: str) -> Policy:
    path = folder / "p.yaml"
    path.write_text(f"version: 1\nname: t\nkinds: {{default: redact}}\nrules: [{rules}]")
    return read_policy(path, GROUPS)


def test_a_whole_facet_can_be_dropped(tmp_path: Path) -> None:
    by = anonymiser(policy_of(tmp_path, "{path: run.facets.x, transform: drop}"))
    told = [
        event(i, run={"id": "r", "facets": facets})
        for i, facets in enumerate([{"x": "1", "y": "2"}, {"y": "3"}, {"x": "4"}])
    ]
    found = rows(refine(told, by))
    assert [row["run_facets"] for row in found] == [{"y": "2"}, {"y": "3"}, {}]
    assert [len(row["privacy"]) for row in found] == [1, 0, 1]


def test_what_is_tokenised_is_bound_to_its_event(tmp_path: Path) -> None:
    by = anonymiser(policy_of(tmp_path, "{path: [actor, run.facets.x.a], transform: tokenise}"))
    told = [event(i, actor="ann", run={"id": "r", "facets": {"x": '{"a": "ann"}', "y": "1"}}) for i in range(3)]
    found = rows(refine(told, by))
    texts = [text for row in found for text in (row["actor"], json.loads(row["run_facets"]["x"])["a"])]
    assert len(set(texts)) == 6
    assert all(text.startswith("ptk1.") for text in texts)
    assert [row["run_facets"]["y"] for row in found] == ["1"] * 3
    assert refine(told, by).values == refine(told[:1], by).values + Refine(Catalog(), by)(raw(told[1:], 1)).values


def test_the_catalogues_classification_makes_a_rule_stricter() -> None:
    catalog = Catalog(
        [CatalogEntry(namespace="s3://b", name="in/0", kind="database", classification="personal").to_record()]
    )
    facets = {"preview": json.dumps({"sample": ["x"], "note": "y"})}
    inputs = [{"namespace": "s3://b", "name": f"in/{i}", "facets": facets} for i in range(2)]
    [row] = rows(refine([event(0, inputs=inputs)], catalog=catalog))
    assert [json.loads(d["facets"]["preview"])["sample"] for d in row["inputs"]] == [["[redacted:row-data]"], ["x"]]


@pytest.mark.parametrize(
    "facet",
    [{"nickname": "Al"}, {"name": "nickname", "value": "Al"}, {"columns": ["a", "nickname"], "rows": [[1, "Al"]]}],
)
def test_what_is_personal_by_its_name_alone_is_found(facet: Json) -> None:
    [row] = rows(refine([event(0, run={"id": "r", "facets": {"x": json.dumps(facet)}})]))
    assert row["run_facets"]["x"] == json.dumps(facet).replace("Al", pseudonym("person-name", "al"))


@pytest.mark.parametrize("hidden", ["ann\\u0040corp.com", "\\nann@corp.com", "\\u0061nn@corp.com"])
def test_escapes_hide_nothing_from_the_prefilter(hidden: str) -> None:
    [row] = rows(refine([event(0, run={"id": "r", "facets": {"x": f'{{"a": "{hidden}"}}'}})]))
    assert json.loads(row["run_facets"]["x"])["a"].strip() == pseudonym("email", "ann@corp.com")


# -- failing -----------------------------------------------------------------------------------------------------------


class Broken(Vault):
    def subjects(self, wanted: Sequence[Wanted]) -> list[Subject]:
        raise OSError(f"cannot look up {wanted}")


class Confused(Detector):
    def scan(self, text: str, context: str = "") -> Any:
        raise ValueError(f"what is {text!r}?")


@pytest.mark.parametrize(
    "by", [anonymiser(vault=Broken()), anonymiser(detector=Confused())], ids=["vault away", "detector fails"]
)
def test_what_fails_stops_and_says_nothing_of_the_event(by: Anonymiser) -> None:
    with pytest.raises(AnonymiseError) as caught:
        refine([event(0, job={"namespace": "n", "name": MAIL})], by)
    told = "".join(traceback.format_exception(caught.value))
    assert MAIL not in told
    assert caught.value.__context__ is None
    assert "nothing of it was passed on" in str(caught.value)


def test_an_error_of_the_vault_is_quoted_if_it_may_be() -> None:
    class Away(Vault):
        def subjects(self, wanted: Sequence[Wanted]) -> list[Subject]:
            raise TimeoutError("the vault does not answer")

    parts = (default_policy(GROUPS), Detector(), normalise, Away(), seal)
    for quotable, said in (((TimeoutError,), "the vault does not answer"), ((), "TimeoutError in subjects")):
        with pytest.raises(AnonymiseError, match=said):
            refine([event(0, actor="ann")], Anonymiser(*parts, quotable=quotable))


def test_a_slice_is_anonymised_as_what_it_is() -> None:
    facets = [{"x": json.dumps({"a": f"{i} {MAIL}"}), "y": "1"} if i % 3 else {} for i in range(12)]
    told = [
        event(
            i,
            actor=f"u{i}",
            run={"id": "r", "facets": facets[i]},
            inputs=[{"namespace": "n", "name": f"d{i}", "facets": facets[i]}] * (i % 3),
        )
        for i in range(12)
    ]
    batch, _ = decode_batch("refined_event", Refine(Catalog())(raw(told)).values)
    by = anonymiser()
    whole = by(batch)
    for start, n in ((0, 5), (4, 8), (7, 1), (3, 0)):
        assert by(batch.slice(start, n)).to_pylist() == whole.slice(start, n).to_pylist()


def test_dead_letters_are_protected_by_place() -> None:
    def protect(data: bytes | None, place: Place) -> bytes | None:
        return None if data is None else f"{place.part}@{place.partition}:{place.offset}".encode()

    done = Refine(Catalog(), protect=protect)(raw([MAIL.encode(), event(0), None]))
    letters = {row: (key, avro.decode("dead_letter", value)) for row, (key, value) in done.dead_letters.items()}
    assert {row: (key, letter["key"], letter["value"]) for row, (key, letter) in letters.items()} == {
        0: (b"key@0:0", b"key@0:0", b"value@0:0"),
        2: (b"key@0:2", b"key@0:2", None),
    }


# -- the corpus --------------------------------------------------------------------------------------------------------


def corpus(shared_dir: Path) -> Iterator[Json]:
    for path in sorted([*shared_dir.glob("openlineage/**/*.json"), *shared_dir.glob("recorded/**/*.json*")]):
        if "spec_schemas" in path.parts:
            continue
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        for item in told if isinstance(told, list) else [told]:
            body = item.get("body", item) if isinstance(item, dict) else item
            if isinstance(body, dict) and not lenient(body):
                yield body


def planted(value: Any, mark: str) -> Any:
    """`mark` behind every string and in every name of a property that is free."""
    if isinstance(value, dict):
        return {f"{key} {mark}" if key.startswith("x") else key: planted(item, mark) for key, item in value.items()}
    if isinstance(value, list):
        return [planted(item, mark) for item in value]
    return f"{value} {mark}" if isinstance(value, str) else value


_FIXED = {"eventTime", "eventType", "schemaURL", "nominalStartTime", "nominalEndTime"}


def with_canaries(told: Json, mark: str) -> Json:
    """An event with `mark` in names, facets, keys and values; what validation needs stays."""

    def within(value: Any, key: str = "") -> Any:
        if key in _FIXED or key == "runId":
            return value
        if key in ("facets", "inputFacets", "outputFacets") and isinstance(value, dict):
            return {
                f"{name}" if i else f"{name} {mark}": planted(facet, mark)
                for i, (name, facet) in enumerate(value.items())
            }
        if isinstance(value, dict):
            return {name: within(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [within(item) for item in value]
        return f"{value}/{mark}" if isinstance(value, str) else value

    found = within(told)
    assert isinstance(found, dict)
    return found


def graph(found: list[Json]) -> nx.DiGraph:
    made = nx.DiGraph()
    for row in found:
        job = ("job", row["job_namespace"], row["job_name"])
        made.add_node(job, kind="job")
        if row["run_id"]:
            made.add_edge(job, ("run", *job[1:], row["run_id"]), kind="run")
        for side in ("inputs", "outputs"):
            for dataset in row[side]:
                node = ("dataset", dataset["namespace"], dataset["name"])
                edge = (node, job) if side == "inputs" else (job, node)
                made.add_edge(*edge, kind=side)
        for edge in row["column_lineage"]:
            source = ("column", *(edge[f"input_{part}"] for part in ("namespace", "name", "field")))
            target = ("column", *(edge[f"output_{part}"] for part in ("namespace", "name", "field")))
            made.add_edge(source, target, kind="column")
    return made


def names_of(row: Json) -> list[str]:
    """The names in an event, in an order that does not depend on what they are."""
    found = [row[name] for name in ("job_namespace", "job_name", "run_id", "parent_job_namespace", "parent_job_name")]
    found += [d[part] for side in ("inputs", "outputs") for d in row[side] for part in ("namespace", "name")]
    return [*found, *(edge[name] for edge in row["column_lineage"] for name in EDGE)]


GRAPH_MARKS = [[""], ["ann@corp.com", "bob@corp.com"], ["/home/ann", "203.0.113.9", "203.0.113.10"]]


def assert_same_graph(told: list[Json], by: Anonymiser, planted: bool) -> None:
    """Names map one to one, the same everywhere, and the mapping takes one graph to the other: an isomorphism."""
    values = [avro.encode("lineage_event", from_openlineage(e)) for e in told]
    before, after = rows(Refine(Catalog())(raw(values))), rows(refine(values, by))
    assert len(before) == len(after) == len(values)
    mapping: dict[str, str] = {}
    for one, other in zip(before, after, strict=True):
        for name, new in zip(names_of(one), names_of(other), strict=True):
            assert mapping.setdefault(name, new) == new
    assert len(set(mapping.values())) == len(mapping)
    assert (mapping != {name: name for name in mapping}) is planted
    first, second = graph(before), graph(after)
    new_names = {node: (node[0], *(mapping[part] for part in node[1:])) for node in first}
    assert nx.utils.graphs_equal(nx.relabel_nodes(first, new_names), second)
    assert first.number_of_nodes() == second.number_of_nodes() > 60


def told_with(shared_dir: Path, marks: list[str]) -> list[Json]:
    """The whole corpus, once with each mark in it; without a mark as it is."""
    told = [with_canaries(e, mark) if mark else e for e in corpus(shared_dir) for mark in marks]
    assert len(told) > 100
    return told


@pytest.mark.parametrize("marks", GRAPH_MARKS)
def test_lineage_is_the_same_graph(shared_dir: Path, marks: list[str]) -> None:
    assert_same_graph(told_with(shared_dir, marks), anonymiser(), marks != [""])


def test_nothing_planted_comes_out(shared_dir: Path) -> None:
    told = [with_canaries(e, MAIL) for e in corpus(shared_dir)]
    done = refine([avro.encode("lineage_event", from_openlineage(e)) for e in told])
    assert not done.dead_letters
    for data in (*done.values, *done.keys, *(part for pair in done.observations for part in pair)):
        assert MAIL.encode() not in data
        assert b"ann.lee" not in data


def test_batch_boundaries_change_no_byte(shared_dir: Path) -> None:
    values = [avro.encode("lineage_event", from_openlineage(with_canaries(e, MAIL))) for e in corpus(shared_dir)]
    whole = refine(values)
    by = anonymiser()
    parts = [Refine(Catalog(), by)(raw(values[at : at + 7], at)) for at in range(0, len(values), 7)]
    assert [value for part in parts for value in part.values] == whole.values
    assert [key for part in parts for key in part.keys] == whole.keys


def test_clean_events_of_the_corpus_keep_their_lineage_and_code(shared_dir: Path) -> None:
    """Real events without plants: jobs, runs, datasets, edges, SQL and schemas stay as they are."""
    values = [avro.encode("lineage_event", from_openlineage(e)) for e in corpus(shared_dir)]
    before, after = rows(Refine(Catalog())(raw(values))), rows(refine(values))
    for one, other in zip(before, after, strict=True):
        assert names_of(one) == names_of(other)
        for name in ("sql", "jobType", "documentation", "sourceCodeLocation"):
            assert one["job_facets"].get(name) == other["job_facets"].get(name)
        for side in ("inputs", "outputs"):
            assert [d["facets"].get("schema") for d in one[side]] == [d["facets"].get("schema") for d in other[side]]
