"""Recall, precision and over-masking of a detector on labelled cases."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proventrail.privacy.spans import Span

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    """A text, how it is scanned (`text`, `sql`, `uri`), the name of its field, and what is planted in it."""

    text: str
    way: str
    place: str
    spans: tuple[Span, ...]
    context: str = ""


Find = Callable[[Case], Sequence[Span]]


def plants(path: Path = FOLDER / "corpus" / "plants-v1.jsonl") -> Iterator[Case]:
    for line in path.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        spans = tuple(Span(*span) for span in item["spans"])
        yield Case(item["text"], item["way"], item.get("place", ""), spans, item.get("context", ""))


_PLANT = re.compile("⟪([a-z\\-]+):(.*?)⟫", re.DOTALL)


def holdout_plants() -> Iterator[Case]:
    """Cases written by hand: `way|field|text`, each plant as ⟪kind:value⟫, ␤ for a line break."""
    ways = {"t": "text", "s": "sql", "u": "uri"}
    for line in _lines("positive"):
        if line.startswith("#"):
            continue
        way, context, marked = line.replace("␤", "\n").split("|", 2)
        text, spans, position = "", [], 0
        for match in _PLANT.finditer(marked):
            text += marked[position : match.start()]
            spans.append(Span(len(text), len(text) + len(match[2]), match[1]))
            text, position = text + match[2], match.end()
        yield Case(text + marked[position:], ways[way], "holdout", tuple(spans), context)


def holdout_clean() -> list[str]:
    return _lines("negative")


def _lines(name: str) -> list[str]:
    """All batches: each was written after the faults that the one before had shown were mended."""
    paths = sorted((FOLDER / "holdout").glob(f"{name}*.txt"))
    return [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def clean(path: Path = FOLDER / "corpus" / "clean-v1.jsonl") -> list[str]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@dataclass
class Score:
    """Counts per kind of plants (`planted`, `found` as that kind, `covered` as any) and of findings (`reported`,
    `right`); characters reported and of these outside every plant."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    covered: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    touched: int = 0
    clean: int = 0
    misses: list[tuple[Case, Span, tuple[Span, ...]]] = field(default_factory=list)
    extra: list[tuple[Case, Span]] = field(default_factory=list)

    def recall(self, kind: str) -> float:
        return self.found[kind] / self.planted[kind] if self.planted[kind] else 1.0

    def precision(self, kind: str) -> float:
        return self.right[kind] / self.reported[kind] if self.reported[kind] else 1.0

    def over_masking(self, kind: str) -> float:
        """Share of the characters reported as this kind that belong to no plant."""
        return self.outside[kind] / self.characters[kind] if self.characters[kind] else 0.0


def score(find: Find, cases: Iterable[Case], clean_strings: Iterable[str]) -> Score:
    """A plant is found when findings of its kind cover all its characters; covered when findings of any kind do."""
    result = Score()
    for case in cases:
        _add(result, case, tuple(find(case)))
    for text in clean_strings:
        result.clean += 1
        case = Case(text, "text", "clean", ())
        found = tuple(find(case))
        result.touched += bool(found)
        _add(result, case, found)
    return result


def _add(result: Score, case: Case, found: tuple[Span, ...]) -> None:
    for plant in case.spans:
        result.planted[plant.kind] += 1
        same = _covers((span for span in found if span.kind == plant.kind), plant)
        result.found[plant.kind] += same
        result.covered[plant.kind] += _covers(found, plant)
        if not same:
            result.misses.append((case, plant, found))
    planted = {index for plant in case.spans for index in range(plant.start, plant.end)}
    for span in found:
        result.reported[span.kind] += 1
        hit = any(plant.start < span.end and span.start < plant.end for plant in case.spans)
        result.right[span.kind] += any(
            plant.kind == span.kind and plant.start < span.end and span.start < plant.end for plant in case.spans
        )
        outside = sum(index not in planted for index in range(span.start, span.end))
        result.characters[span.kind] += span.end - span.start
        result.outside[span.kind] += outside
        if not hit or outside:
            result.extra.append((case, span))


def _covers(spans: Iterable[Span], plant: Span) -> bool:
    left = set(range(plant.start, plant.end))
    for span in spans:
        left.difference_update(range(span.start, span.end))
    return not left
