"""Policy files: what is refused with file, line and reason; precedence; the fingerprint."""

from __future__ import annotations

from pathlib import Path

import pytest

from proventrail.privacy.errors import PolicyError
from proventrail.privacy.policy.annotations import annotated
from proventrail.privacy.policy.policy import Policy, default_policy, read_policy

from ..standin import GROUPS

HEAD = "version: 1\nname: t\nkinds: {default: redact, contact: pseudonymise, email: mask}\n"


def policy(folder: Path, text: str) -> Policy:
    path = folder / "p.yaml"
    path.write_text(text)
    return read_policy(path, GROUPS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"p\.yaml:\d+: not YAML"),
        ("- 1", r"p\.yaml:1: policy: "),
        ("version: 2\nname: x\nkinds: {default: keep}\nrules: []", r"p\.yaml:1: version: "),
        ("version: 1\nname: x\nkinds: {email: keep}\nrules: []", r"p\.yaml:3: kinds: .*needs an entry `default`"),
        (
            HEAD + "rules:\n  - path: actor\n    transform: shred",
            r"p\.yaml:6: rules\.0\.transform: .*unknown transformation; known are keep, .*uri",
        ),
        (HEAD + "rules:\n  - {path: actor, transform: keep}\n  - path: a..b\n    transform: keep", r":6: rules\.1\.pa"),
        (HEAD + "rules: [{path: jobs.name, transform: keep}]", r":4: rules\.0\.path: .*jobs\.name fits no field"),
        (HEAD + "rules: [{path: [actor, run.name], transform: keep}]", r"run\.name fits no field"),
        (HEAD + "rules:\n  - transform: keep", r"p\.yaml:5: rules\.0: .*needs path or columns"),
        (HEAD + "rules:\n  - path: actor\n    transfrom: keep", r"p\.yaml:\d: rules\.0\.trans"),
        (HEAD + "rules:\n  - {path: actor, transform: detect, kinds: {emial: keep}}", r":5: .*nothing detects"),
        (HEAD + "rules:\n  - {path: actor, transform: detect, kinds: {email: sql}}", r"unknown transformation"),
        ("version: 1\nname: t\nkinds: {default: redact, default: keep}\nrules: []", r":3: the key default stands"),
        ("version: 1\nname: t\nkinds: {default: keep, owner: keep}\nrules: []", r"p\.yaml:3: kinds: nothing detects"),
    ],
)  # fmt: skip
def test_an_invalid_policy_is_refused_with_file_line_and_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        policy(tmp_path, text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"none\.yaml: cannot be read"):
        read_policy(tmp_path / "none.yaml", GROUPS)


def test_a_kind_comes_before_its_group_and_a_rule_before_the_table(tmp_path: Path) -> None:
    found = policy(tmp_path, HEAD + "rules:\n  - {path: job.name, transform: detect, kinds: {contact: keep}}")
    by_default = found.default
    assert [by_default.action(kind) for kind in ("email", "phone", "us-ssn")] == ["mask", "pseudonymise", "redact"]
    [rule] = found.root().below("job", "name").targets
    assert [rule.action(kind) for kind in ("email", "phone", "us-ssn")] == ["keep", "keep", "redact"]


def test_a_classified_rule_is_for_such_datasets_alone(tmp_path: Path) -> None:
    rule = '{path: "**.facets.x", classified: [personal], transform: drop}'
    found = policy(tmp_path, HEAD + f"rules: [{rule}]")
    assert found.root("personal").below("inputs", "facets", "x").targets
    assert not found.root("").below("inputs", "facets", "x").targets
    assert found.classifications == {"personal"}


def test_columns_are_names_within_facets_not_of_facets(tmp_path: Path) -> None:
    root = policy(tmp_path, HEAD + "rules: [{columns: token, transform: redact}]").root()
    assert root.below("run", "facets", "x", "a", "token", "b").targets
    assert not root.below("run", "facets", "token", "a").targets
    assert not root.below("job", "token").targets


def test_fields_marked_in_the_avro_schema_have_rules_behind_those_of_the_policy(tmp_path: Path) -> None:
    assert [rule.path for rule in annotated()] == [["actor"]]
    [brought] = policy(tmp_path, HEAD + "rules: []").root().below("actor").targets
    assert (brought.transform, brought.kind) == ("pseudonymise", "home-user")
    first, _ = policy(tmp_path, HEAD + "rules: [{path: actor, transform: keep}]").root().below("actor").targets
    assert first.transform == "keep"


def test_the_fingerprint_follows_the_content_not_the_form(tmp_path: Path) -> None:
    one = policy(tmp_path, HEAD + "rules: [{path: actor, transform: keep}]").version
    same = policy(tmp_path, "# words\n" + HEAD + "rules:\n  - transform: keep\n    path: [actor]").version
    other = policy(tmp_path, HEAD + "rules: [{path: actor, transform: drop}]").version
    assert one == same != other
    assert len(one) == 16


def test_the_default_policy_is_valid_and_names_no_kind_in_vain() -> None:
    found = default_policy(GROUPS)
    assert found.model.name == "default"
    assert found.default.action("secret") == "redact"
    assert found.default.action("email") == "pseudonymise"
    assert found.default.action("ip-private") == "keep"
    assert found.default.action("something-new") == "redact"
