"""Texts and facets rewritten: what is replaced, what stays byte for byte, and that a second pass changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proventrail.privacy import detect
from proventrail.privacy.draft import Draft, Finding
from proventrail.privacy.policy.policy import Policy, default_policy, read_policy
from proventrail.privacy.rewrite import Rewriter

from .standin import GROUPS, Detector, Span, Vault, normalise, seal

SHIPPED = default_policy(GROUPS)


def rewriter(policy: Policy = SHIPPED) -> Rewriter:
    return Rewriter(policy, Detector(), normalise)


def policy_of(
    folder: Path, rules: str, kinds: str = "default: redact, contact: pseudonymise", also: str = ""
) -> Policy:
    path = folder / "p.yaml"
    path.write_text(f"version: 1\nname: t\nkinds: {{{kinds}}}\nrules: [{rules}]\n{also}")
    return read_policy(path, GROUPS)


def rendered(draft: Draft | None, before: str, event_id: str = "e") -> str:
    if draft is None:
        return before
    wanted = [blank.wanted for blank in draft.blanks]
    return draft.render(dict(zip(wanted, Vault().subjects(wanted), strict=True)), seal, event_id)


def facet(
    text: str, name: str = "x", *, by: Rewriter | None = None, holder: str = "run"
) -> tuple[str, Counter[Finding]]:
    by = by or rewriter()
    draft = by.facet(by.policy.root().below(holder, "facets", name), text, f"{holder}.facets.{name}")
    return rendered(draft, text), draft.findings if draft else Counter()


def field(text: str, *path: str, by: Rewriter | None = None) -> str:
    by = by or rewriter()
    return rendered(by.text(by.policy.root().below(*path), text, ".".join(path)), text)


PERSON = f"person-name_{Vault().subjects([('person-name', 'al')])[0].subject_id}"
ANN = field("ann@corp.com", "job", "name")


def test_only_the_personal_part_of_a_name_is_replaced() -> None:
    assert ANN.startswith("email_")
    assert field("etl.ann@corp.com/daily-2024", "job", "name").endswith("/daily-2024")
    assert field("postgres://db:5432", "inputs", "namespace") == "postgres://db:5432"
    assert field("s3://b/Ann@Corp.com/x", "inputs", "name") == f"s3://b/{ANN}/x"


def test_public_addresses_in_names_stay_apart_elsewhere_they_become_networks() -> None:
    assert field("postgres://203.0.113.7:5432", "inputs", "namespace").startswith("postgres://ip-public_")
    assert field("from 203.0.113.7 and 10.1.2.3", "emitter", "id") == "from 203.0.113.0/24 and 10.1.2.3"
    assert field("http://203.0.113.7:80/x", "producer") == "http://203.0.113.0:80/x"


def test_an_actor_is_a_pseudonym_unless_it_is_a_service() -> None:
    assert field("ann", "actor").startswith("home-user_")
    assert field("svc-etl", "actor") == "svc-etl"
    # Detection knows better what the whole value is: the same address is the same person everywhere.
    assert field("ann@corp.com", "actor") == ANN


def test_values_keys_and_numbers_of_a_facet_are_rewritten_and_the_rest_stays() -> None:
    text = '{ "to" :"ann@corp.com",\n"ann@corp.com":[1, 2.50, true , null,"\\u00e9"], "n": 4915112345678 }'
    found, findings = facet(text)
    phone = field("4915112345678", "job", "name")
    assert found == text.replace("ann@corp.com", ANN).replace("4915112345678", f'"{phone}"')
    assert findings == {
        Finding("run.facets.x.to", "email", "pseudonymise"): 1,
        Finding("run.facets.x.*", "email", "pseudonymise"): 1,
        Finding("run.facets.x.n", "phone", "pseudonymise"): 1,
    }


@pytest.mark.parametrize("hidden", ["ann\\u0040corp.com", "\\u0061nn@corp.com", "ann@corp\\u002ecom"])
def test_escapes_hide_nothing(hidden: str) -> None:
    found, _ = facet(f'{{"a": "\\"{hidden}\\"\\n\\\\ ü"}}')
    assert json.loads(found) == {"a": f'"{ANN}"\n\\ ü'}


def test_what_is_no_json_counts_as_free_text() -> None:
    for text in [
        "ann@corp.com said",
        '{"a": ann@corp.com}',
        '{"a": "ann@corp.com",}',
        '["ann@corp.com"] x',
        '{"ann@corp.com"',
    ]:
        found, findings = facet(text)
        assert found == text.replace("ann@corp.com", ANN)
        assert findings == {Finding("run.facets.x", "email", "pseudonymise"): 1}


@pytest.mark.parametrize("text", ['{"a": "\\ud83d ann@corp.com"}', '{"a": NaN, "b": "ann@corp.com"}', '"ann@corp.com"'])
def test_unusual_json_is_rewritten_too(text: str) -> None:
    found, _ = facet(text)
    assert ANN in found
    json.loads(found).__class__  # noqa: B018 - still JSON
    found.encode()


def test_a_facet_beyond_the_limits_is_redacted_as_a_whole(tmp_path: Path) -> None:
    by = rewriter(policy_of(tmp_path, "", also="limits: {facet_bytes: 1024, depth: 5}"))
    for text in ['{"a": "' + "x" * 1100 + '"}', "[" * 9 + "]" * 9]:
        found, findings = facet(text, by=by)
        assert json.loads(found) == "[redacted:unexamined]"
        assert findings == {Finding("run.facets.x", "unexamined", "redact"): 1}


def test_what_stands_under_the_name_of_a_secret_is_redacted_whatever_it_looks_like() -> None:
    told = {
        "properties": {"spark.hadoop.fs.s3a.secret.key": "a", "spark.app.name": "b", "max_tokens": 5},
        "environmentVariables": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"value": "c", "key": "API_TOKEN"}],
        "password": {"old": ["d"], "new": 7},
        "table": {"columns": ["id", "pwd"], "rows": [[1, "e"], [2, "f"]]},
        "frame": {"fields": [{"name": "api_key", "type": "str"}], "data": [["g"]]},
    }
    found, findings = facet(json.dumps(told))
    gone = "[redacted:secret]"
    assert json.loads(found) == {
        "properties": {"spark.hadoop.fs.s3a.secret.key": gone, "spark.app.name": "b", "max_tokens": 5},
        "environmentVariables": [{"name": "DB_PASSWORD", "value": gone}, {"value": gone, "key": "API_TOKEN"}],
        "password": {"old": [gone], "new": gone},
        "table": {"columns": ["id", "pwd"], "rows": [[1, gone], [2, gone]]},
        "frame": {"fields": [{"name": "api_key", "type": "str"}], "data": [[gone]]},
    }
    assert {finding.action for finding in findings} == {"redact"}


def test_the_name_of_a_field_is_a_context_for_detection() -> None:
    for text in [
        '{"nickname": "Al"}',
        '{"value": "Al", "name": "nickname"}',
        '{"columns": ["nickname"], "data": [["Al"]]}',
    ]:
        assert facet(text)[0] == text.replace('"Al"', f'"{PERSON}"')


def test_sql_hides_no_address_outside_of_literals() -> None:
    text = '{"query": "SELECT * FROM `ann@corp.com` -- x"}'
    assert facet(text, "sql", holder="job")[0] == text.replace("ann@corp.com", ANN)


@pytest.mark.parametrize(
    ("query", "redacted"),
    [("SELECT 1 FROM t WHERE password=u.pass", False), ("x password=?", False), ("x password=Zk9-hunter", True)],
)
def test_in_sql_an_assigned_name_is_a_column_and_stays(query: str, redacted: bool) -> None:
    found, _ = facet(json.dumps({"query": query}), "sql", holder="job")
    assert found == json.dumps({"query": query.replace("Zk9-hunter", "[redacted:password]")})
    assert ("redacted" in found) is redacted


def test_the_dialect_beside_a_query_says_what_its_quotes_hold() -> None:
    by = Rewriter(SHIPPED, detect.Detector(), normalise)
    query = {"query": 'SELECT * FROM t WHERE last_name = "Doe"'}
    dialects = (
        ("mysql", True),
        ("Spark SQL", True),
        ("postgres", False),
        ("PostgreSQL", False),
        ("", False),
        ("x", False),
    )
    for dialect, redacted in dialects:
        text = json.dumps(query | {"dialect": dialect})
        assert ("Doe" not in facet(text, "sql", holder="job", by=by)[0]) is redacted, dialect


def test_environment_variables_and_owners() -> None:
    told = {"environmentVariables": [{"name": "HOME", "value": "x"}, {"name": "SPARK_VERSION", "value": "3.5"}]}
    found, _ = facet(json.dumps(told), "environmentVariables")
    assert [item["value"] for item in json.loads(found)["environmentVariables"]] == ["[redacted:environment]", "3.5"]
    owners = {"owners": [{"name": n, "type": "MAINTAINER"} for n in ("user:ann", "team:data", "Ann Lee", "airflow")]}
    found, _ = facet(json.dumps(owners), "ownership", holder="job")
    names = [item["name"] for item in json.loads(found)["owners"]]
    assert names[0] == f"user:{field('ann', 'actor')}"
    assert names[2].startswith("person-name_")
    assert (names[1], names[3]) == ("team:data", "airflow")


def test_names_of_columns_are_no_personal_data_but_their_values_are() -> None:
    schema = '{"fields": [{"name": "email", "type": "string"}, {"name": "password", "type": "string"}]}'
    assert facet(schema, "schema", holder="inputs")[0] == schema
    edges = '{"fields": {"email": {"inputFields": [{"namespace": "n", "name": "users", "field": "email"}]}}}'
    assert facet(edges, "columnLineage", holder="outputs")[0] == edges
    metrics = {"columnMetrics": {"email": {"nullCount": 1, "min": "a", "max": "z"}, "qty": {"max": 9}}}
    found = json.loads(facet(json.dumps(metrics), "dataQualityMetrics", holder="inputs")[0])["columnMetrics"]
    assert found["email"]["nullCount"] == 1
    assert found["email"]["max"].startswith("email_")
    assert found["qty"] == {"max": 9}


def test_samples_of_classified_datasets_are_taken_out() -> None:
    by = rewriter()
    text = '{"sample": [["x"]], "note": "y"}'
    for classification, expected in (("personal", '{"sample": [["[redacted:row-data]"]], "note": "y"}'), ("", text)):
        place = by.policy.root(classification).below("inputs", "facets", "preview2")
        assert rendered(by.facet(place, text, "inputs[].facets.preview2"), text) == expected


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("keep", '{"a": "ann@corp.com"}'),
        ("redact", '{"a": "[redacted:email]"}'),
        ("mask", '{"a": "******"}'),
        ("generalise", '{"a": "[redacted:email]"}'),
        ("pseudonymise", f'{{"a": "{ANN}"}}'),
        ("drop", '{"a": null}'),
    ],
)
def test_each_transformation_of_a_whole_value(tmp_path: Path, transform: str, expected: str) -> None:
    by = rewriter(policy_of(tmp_path, f"{{path: run.facets.x.a, transform: {transform}}}"))
    assert facet('{"a": "ann@corp.com"}', by=by)[0] == expected


def test_a_facet_can_be_dropped_or_kept_as_a_whole(tmp_path: Path) -> None:
    by = rewriter(policy_of(tmp_path, "{path: run.facets.x, transform: drop}, {path: run.facets.y, transform: keep}"))
    draft = by.facet(by.policy.root().below("run", "facets", "x"), "{}", "run.facets.x")
    assert draft is not None
    assert draft.dropped
    assert facet('{"a": "ann@corp.com"}', "y", by=by)[0] == '{"a": "ann@corp.com"}'


def test_an_earlier_rule_reaches_into_a_facet_that_a_later_one_keeps(tmp_path: Path) -> None:
    rules = "{path: run.facets.x.a, transform: redact}, {path: run.facets.x, transform: keep}"
    found, _ = facet('{"a": "q", "b": "ann@corp.com"}', by=rewriter(policy_of(tmp_path, rules)))
    assert found == '{"a": "[redacted:value]", "b": "ann@corp.com"}'


def test_what_is_tokenised_differs_by_event_and_by_path(tmp_path: Path) -> None:
    by = rewriter(policy_of(tmp_path, "{path: run.facets.x, transform: tokenise}"))
    draft = by.facet(by.policy.root().below("run", "facets", "x"), '{"a": "ann", "b": "ann"}', "run.facets.x")
    assert draft is not None
    assert draft.per_event
    one, same, other = (json.loads(rendered(draft, "", event)) for event in ("e1", "e1", "e2"))
    assert one == same
    assert len({one["a"], one["b"], other["a"], other["b"]}) == 4
    assert "ann" not in repr(draft.blanks)


def test_sealed_and_redacted_text_in_between_is_left_alone() -> None:
    told = f"postgres://{ANN}:[redacted:uri-password]@db/x?u=ann@corp.com"
    assert field(told, "producer") == told.replace("ann@corp.com", ANN)
    assert field(f"{ANN}@corp.com", "producer") == f"{ANN}@corp.com"


def test_words_in_a_pseudonym_are_no_context_for_others() -> None:
    seen: list[str] = []

    class Listening(Detector):
        def scan(self, text: str, context: str = "") -> tuple[Span, ...]:
            seen.append(f"{context}|{text}")
            return super().scan(text, context)

    by = Rewriter(SHIPPED, Listening(), normalise)
    facet(f'{{"{ANN}": "x {ANN} bob@corp.com"}}', by=by)
    assert seen == [f"*|x {'x' * len(ANN)} bob@corp.com"]


ALPHABET = st.sampled_from(
    [
        "ann@corp.com",
        "123-45-6789",
        "/home/ann/",
        "203.0.113.9",
        "postgres://u:pw@h/d",
        "AKIAABCDEFGHIJKLMNOP",
        "\\",
        '"',
        "é",
        "x",
        "/",
        ":",
        "1980-01-02",
    ]
)
WORDS = st.lists(ALPHABET).map(" ".join)
NAMES = st.sampled_from(["password", "email", "owner", "name", "value", "columns", "rows", "dob"])


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner) | st.dictionaries(WORDS | NAMES, inner)


@settings(max_examples=200, deadline=None)
@given(st.recursive(WORDS | st.integers() | st.none(), nested, max_leaves=12), st.booleans())
def test_a_second_pass_changes_nothing_and_json_stays_json(told: object, ascii_only: bool) -> None:
    once, _ = facet(json.dumps(told, ensure_ascii=ascii_only))
    assert facet(once)[0] == once
    json.loads(once)
    for clear in ("ann@corp.com", "123-45-6789", "AKIAABCDEFGHIJKLMNOP"):
        assert clear not in once
