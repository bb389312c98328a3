"""Paths of fields, and which rules fit them: an automaton whose states are made when they are first needed.

A path is a list of names with dots between: `job.facets.sql.query`. `[]` after a name says that it is a list and counts
for nothing. `*` and `?` stand for characters within a name, `**` for any number of names. Names are compared without
case; one that holds a dot is written in double quotes. A pattern fits a value and everything beneath it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

_SEGMENT = re.compile(r'(?:"(?P<quoted>[^"]+)"|(?P<plain>[^."\[\]]+))(?:\[\])*(?P<end>\.|$)')
_MAX_NAMES = 4096
"""Transitions that one state remembers; column names of facets are without number."""

ANY_DEPTH = "**"


@dataclass(frozen=True)
class Segment:
    """One name of a pattern. `source`: a regular expression without flags that RE2 takes too."""

    source: str
    fits: re.Pattern[str]


Pattern = tuple[Segment | None, ...]
"""None stands for `**`."""


def _source(glob: str) -> str:
    return "".join({"*": '[^"]*', "?": '[^"]'}.get(char, re.escape(char)) for char in glob)


def names(globs: Iterable[str]) -> Segment:
    """A segment that fits any of `globs`."""
    source = "|".join(f"(?:{_source(glob)})" for glob in globs)
    return Segment(source, re.compile(f"(?:{source})\\Z", re.IGNORECASE | re.DOTALL))


def parse_path(text: str) -> Pattern:
    """Raises ValueError, saying what is wrong with the path."""
    found: list[Segment | None] = []
    at, ended = 0, False
    while not ended:
        match = _SEGMENT.match(text, at)
        if match is None:
            raise ValueError(f"not a path at character {at + 1}: names with dots between, such as job.facets.sql.query")
        plain = match["plain"]
        found.append(None if plain == ANY_DEPTH else names([plain or match["quoted"]]))
        at, ended = match.end(), match["end"] == ""
    return tuple(found)


def value_fits(globs: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern for whole values, without case; None for none."""
    return re.compile("|".join(f"(?:{fnmatch.translate(glob)})" for glob in globs), re.IGNORECASE) if globs else None


Target = TypeVar("Target")
_Position = tuple[int, int]


class Node(Generic[Target]):
    """Where a path has led. `targets`: what fits here and beneath, in order."""

    def __init__(self, automaton: Automaton[Target], positions: tuple[_Position, ...]) -> None:
        self._automaton = automaton
        self._positions = positions
        self._children: dict[str, Node[Target]] = {}
        accepted = sorted(
            {automaton.owners[p] for p, at in positions if at == len(automaton.patterns[p])},
        )
        self.first = accepted[0] if accepted else len(automaton.targets)
        self.targets = tuple(automaton.targets[i] for i in accepted)

    def child(self, name: str) -> Node[Target]:
        """The node of the property `name`."""
        found = self._children.get(name)
        if found is None:
            if len(self._children) >= _MAX_NAMES:
                self._children.clear()
            found = self._children[name] = self._automaton.after(self._positions, name)
        return found

    def below(self, *path: str) -> Node[Target]:
        """The node at the end of `path`."""
        node = self
        for name in path:
            node = node.child(name)
        return node

    @cached_property
    def open_patterns(self) -> list[Pattern]:
        """What is left of the patterns that may fit beneath, and would come before what fits here."""
        automaton = self._automaton
        return [
            automaton.patterns[p][at:]
            for p, at in self._positions
            if at < len(automaton.patterns[p]) and automaton.owners[p] < self.first
        ]


class Automaton(Generic[Target]):
    """All patterns at once. `targets[i]` comes before `targets[i + 1]`."""

    def __init__(self, patterns: Sequence[tuple[Pattern, int]], targets: Sequence[Target]) -> None:
        self.patterns = [pattern for pattern, _ in patterns]
        self.owners = [owner for _, owner in patterns]
        self.targets = list(targets)
        self._nodes: dict[tuple[_Position, ...], Node[Target]] = {}
        self.root = self._node({(p, 0) for p in range(len(patterns))})

    def _node(self, positions: set[_Position]) -> Node[Target]:
        closed = set(positions)
        for p, at in positions:
            # `**` may stand for no name at all.
            while at < len(self.patterns[p]) and self.patterns[p][at] is None:
                at += 1
                closed.add((p, at))
        key = tuple(sorted(closed))
        if key not in self._nodes:
            self._nodes[key] = Node(self, key)
        return self._nodes[key]

    def after(self, positions: Iterable[_Position], name: str) -> Node[Target]:
        moved: set[_Position] = set()
        for p, at in positions:
            if at == len(self.patterns[p]):
                moved.add((p, at))
                continue
            segment = self.patterns[p][at]
            if segment is None:
                moved.add((p, at))
            elif segment.fits.match(name):
                moved.add((p, at + 1))
        return self._node(moved)
