"""Each bench runs with a few events and gives figures that make sense. How fast it is, is not asserted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.benches import BENCHES, measure
from benchmarks.report import Options, Row, as_json, markdown, table, with_ratios
from benchmarks.workloads import make

_EVENTS = 300


@pytest.mark.parametrize(
    "name",
    [
        # Installs from a package registry.
        pytest.param(name, marks=pytest.mark.interop if name == "sdk" else ())
        for name in BENCHES
    ],
)
def test_a_bench_gives_figures(name: str, tmp_path: Path) -> None:
    rows = measure(name, Options(tmp_path, events=_EVENTS))
    assert rows
    assert all(math.isfinite(value) and value >= 0 for row in rows for value in row.runs)
    assert len({row.name for row in rows}) == len(rows)


def test_a_bench_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "sink-store").write_text("a file where a folder must be")
    with pytest.raises(RuntimeError, match="sink ended with exit code 1"):
        measure("sink", Options(tmp_path, events=10))


@pytest.mark.parametrize("kind", ["compact", "recorded"])
def test_workloads_are_distinct_events_and_the_same_each_time(kind: str) -> None:
    first, again = make(kind, 400), make(kind, 400)  # type: ignore[arg-type]
    assert first.values == again.values
    assert len(set(first.values)) == len(first) == 400
    assert not {*first.values} & {*make(kind, 400, seed=1).values}  # type: ignore[arg-type]


def test_compact_events_have_360_bytes() -> None:
    assert 350 <= make("compact", 1000).mean_bytes <= 370


def test_report() -> None:
    rows = with_ratios(
        [
            Row("a", "slow", "events/s", (1.0, 3.0, 2.0)),
            Row("b", "fast", "events/s", (20.0,), 1.5, goal="≥ 10", baseline="a/slow"),
            Row("b", "late", "s", (3.0,), goal="≤ 2", baseline="a/absent"),
        ]
    )
    assert [row.value for row in rows] == [2.0, 20.0, 3.0]
    assert [row.ratio for row in rows] == [None, 10.0, None]
    assert [row.met for row in rows] == ["", "yes", "no"]
    assert "10 × a/slow" in table(rows)
    assert markdown(rows).count("\n| ") == 4
    assert '"met": "no"' in as_json(rows)
