"""What a benchmark gives, and how it is shown: as a table for people, as Markdown for the documentation, as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.processes import machine
from benchmarks.workloads import Kind


@dataclass(frozen=True)
class Row:
    """One figure: the median of `runs`, in `unit`. `cpu_us`: CPU time for each event in microseconds, all processes.

    `goal` is what it must be (`≥ 60000`, `≤ 2`) or empty. `baseline` names a row (`bench/case`) of the same run that it
    is a multiple of.
    """

    bench: str
    case: str
    unit: str
    runs: tuple[float, ...]
    cpu_us: float | None = None
    goal: str = ""
    baseline: str = ""
    note: str = ""
    ratio: float | None = field(default=None, compare=False)

    @property
    def value(self) -> float:
        return statistics.median(self.runs)

    @property
    def name(self) -> str:
        return f"{self.bench}/{self.case}"

    @property
    def met(self) -> str:
        """`yes` or `no` where there is a goal."""
        if not self.goal:
            return ""
        sign, bound = self.goal.split(" ")
        return "yes" if (self.value >= float(bound) if sign == "≥" else self.value <= float(bound)) else "no"


@dataclass(frozen=True)
class Options:
    """How much is measured, and where files may lie."""

    scratch: Path
    quick: bool = False
    events: int | None = None
    profile: Path | None = None

    @property
    def runs(self) -> int:
        return 1 if self.events is not None else 2 if self.quick else 3

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The workloads; compact events alone where it is only to be seen that a bench works."""
        return ("compact",) if self.events is not None else ("compact", "recorded")

    def count(self, full: int, quick: int) -> int:
        """How many events a measurement takes, `full` unless less was asked for."""
        return self.events if self.events is not None else quick if self.quick else full


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """The rows, each that names a baseline with the multiple of it."""
    values = {row.name: row.value for row in rows}
    return [replace(row, ratio=row.value / values[row.baseline]) if values.get(row.baseline) else row for row in rows]


_HEAD = ("bench", "case", "median", "unit", "CPU µs/event", "goal", "met", "× baseline", "runs", "note")


def number(value: float) -> str:
    """Three digits at least, as many as there are before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(row: Row) -> list[str]:
    ratio = f"{number(row.ratio)} × {row.baseline}" if row.ratio is not None else ""
    cpu = "" if row.cpu_us is None else number(row.cpu_us)
    runs = " ".join(map(number, sorted(row.runs))) if len(row.runs) > 1 else ""
    return [row.bench, row.case, number(row.value), row.unit, cpu, row.goal, row.met, ratio, runs, row.note]


def table(rows: Iterable[Row]) -> str:
    """Columns of equal width, for a terminal."""
    cells = [list(_HEAD), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def markdown(rows: Iterable[Row]) -> str:
    """The table for docs/performance.md, under a line that says on what machine it was measured."""
    lines = [f"Measured {machine()}.", "", f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD)]
    return "\n".join([*lines, *(f"| {' | '.join(_cells(row))} |" for row in rows)])


def as_json(rows: Iterable[Row]) -> str:
    found = [{**asdict(row), "value": row.value, "met": row.met} for row in rows]
    return json.dumps({"machine": machine(), "rows": found}, indent=1, ensure_ascii=False)
