"""Paths: what a pattern fits, and which of several comes first."""

from __future__ import annotations

import pytest

from proventrail.privacy.policy.paths import Automaton, names, parse_path


def fits(pattern: str, *path: str) -> bool:
    return bool(Automaton([(parse_path(pattern), 0)], ["x"]).root.below(*path).targets)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("job.name", "job.name", True),
        ("job.name", "job.namespace", False),
        ("JOB.Name", "job.name", True),
        ("inputs[].name", "inputs.name", True),
        ("*.facets.sql.query", "job.facets.sql.query", True),
        ("*.facets.sql.query", "a.b.facets.sql.query", False),
        ("**.facets.sql.query", "a.b.facets.sql.query", True),
        ("**.facets.sql", "facets.sql", True),
        ("run.facets.environmentVariables.**", "run.facets.environmentVariables.a.b.c", True),
        ("run.facets.environmentVariables", "run.facets.environmentVariables.a.b.c", True),
        ("run.facets.environmentVariables", "run.facets", False),
        ("**.a.**.b", "x.a.b", True),
        ("**.a.**.b", "a.y.z.b.c", True),
        ("**.a.**.b", "b.a", False),
        ("x.*_token", "x.my_token", True),
        ("x.*_token", "x.tokens", False),
        ("x.?b", "x.ab", True),
        ("**", "anything.at.all", True),
    ],
)
def test_what_a_pattern_fits(pattern: str, path: str, expected: bool) -> None:
    assert fits(pattern, *path.split(".")) is expected


def test_a_name_with_dots_is_quoted() -> None:
    assert fits('run.facets.p."spark.app.name"', "run", "facets", "p", "spark.app.name")
    assert not fits('run.facets.p."spark.app.name"', "run", "facets", "p", "spark", "app", "name")


@pytest.mark.parametrize("wrong", ["", ".", "a.", "a..b", 'a."b', "[]", "a[0]"])
def test_what_is_no_path_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a path at character"):
        parse_path(wrong)


def test_the_first_of_several_comes_first_and_open_ones_are_told() -> None:
    patterns = [(parse_path("a.b.c"), 0), (parse_path("a"), 1), (parse_path("**.c"), 2)]
    automaton = Automaton(patterns, ["deep", "top", "any"])
    a = automaton.root.child("a")
    assert a.targets == ("top",)
    assert len(a.open_patterns) == 1
    assert a.below("b", "c").targets == ("deep", "top", "any")
    assert a.below("x").open_patterns == []
    assert automaton.root.below("x", "c").targets == ("any",)


def test_many_names_make_few_nodes() -> None:
    automaton = Automaton([((None, names(["*secret*"])), 0)], ["x"])
    first = automaton.root.child("n0")
    assert all(automaton.root.child(f"n{i}") is first for i in range(10_000))
