"""What a rule is, and what it sees of a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from proventrail.privacy.detect.context import words_before, words_of
from proventrail.privacy.detect.view import View

NO_CONTEXT = -1
"""Distance of a context word that is not there."""

DISTINCT, CONTEXT, LOOSE = 30, 20, 10
"""Strengths: told by its own form; told by its form and the words near it; told by the words alone."""

SECRET = 50
"""Strength of secrets with a form of their own; what lies in one is part of it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finding of one rule, in characters of the view. Where two overlap the stronger stays, then the longer one,
    then the one whose context word is nearer."""

    start: int
    end: int
    kind: str
    strength: int
    distance: int = 0


EDGE = r"(?:(?<![0-9A-Za-z])|(?<=%3D|%22|%20|%3A|%2C))"
"""Where a value may begin: no letter or digit before it, but for an escaped sign of a URI."""
EDGE_BYTES = rb"(?:^|[^0-9A-Za-z]|%3D|%22|%20|%3A|%2C)"
"""The same in a trigger."""

# Numbers inside these are parts of a name or a time: no checksum makes them a person's.
_SHIELD = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b(?:sha\d{1,3}|md5)[:\-][0-9a-f]{6,128}"
    r"|\barn:aws[\w\-]*:[^\s\"']{1,400}"
    r"|\b(?:application|attempt|job|container|task|appattempt|executor|stage|local|driver|"
    r"app)[_\-](?:e\d{1,4}_)?\d{8,14}[_\-]\d+[_\-\d]*"
    r"|\b(?:s3[an]?|gs|hdfs|abfss?|wasbs?|dbfs|oss|cos|viewfs)://[^\s\"'?]{1,800}"
    r"|\b\d{4}-\d\d-\d\d[T _]\d\d[:\-]?\d\d[:\-]?\d\d(?:[.,]\d{1,9})?(?:Z|[+\-]\d\d:?\d\d)?"
    r"|\b\d{4}-[01]\d-[0-3]\d\b"
    r"|\b\d{8}T\d{6}Z?\b",
    re.IGNORECASE,
)


_LABEL = re.compile(
    r"(?P<label>[A-Za-zÀ-ÿ_](?:[^,;:=\n{}\"'\[\]()|<>]|(?<=[a-z])'(?=[a-z] )){0,47})(?:[\"'`\])]|"
    r"\\[\"']){0,3}\s{0,3}(?::=|[:=]|=>|->)\s{0,3}(?:[\"'`(\[<]|\\[\"']){0,3}\Z"
)
_CLAUSE = re.compile(r"\b(?:where|and|or|set|from|select|on|when|by|having|join|values|into)\b", re.IGNORECASE)
# `value: …`, `DETAIL: …` say nothing of what the value is; the words before them may.
_SAYS_NOTHING = re.compile(
    r"(?:value|val|v|values|data|text|message|msg|detail|details|error|warning|info|input|content|comment|note|got|"
    r"received|param|params|parameter|parameters|args|arg|body|payload|sample|row|record|description|descr|x|key|"
    r"number|no|nr|is|filter|query|where|literal|found|failed|reason|result|exception|\w*error|\w*exception)"
)
_MEASURE = re.compile(
    r"(?:^| )(?:bytes|rows|records|num|total|count|slot|ms)(?: |$)|"
    r"(?:^| )(?:rows?|bytes?|counts?|offsets?|size|ids?|ts|timestamp|time|epoch|version|lag|len|length|"
    r"duration|nanos|micros|millis|ms|"
    r"hash|fingerprint|checksum|seq|sequence|position|snapshot|pid|port|total|amount|sum|records|events|"
    r"run|build|batch|job|task|"
    r"load|partition|shard|limit|line|watermark|generation|term|index|revision|seed|memory|heap)$"
)
_MEASURE_BEFORE = re.compile(
    r"(?:\b(?:offsets?|rows?|wrote|read|line|lines|pid|port|tid|seed|epoch|lsn|build|run|job|task|batch|"
    r"attempt|took|count|partition|"
    r"snapshot|version|total|sum|of size|bytes)[ #]{1,2})\Z",
    re.IGNORECASE,
)
_HEADING = re.compile(r"[A-Za-zÀ-ÿ_][\wÀ-ÿ .\-]{0,40}")
_COUNTING = re.compile(
    r"(?:^| )(?:counts?|total|sum|avg|rows|records|offset|size|bytes|len|length|hash|checksum|version|ts|"
    r"timestamp|seq|key)$"
)
"""Last word of a label whose number counts, whatever the words before it: `ssn_count=479543112`."""
_LESS_OR_MORE = re.compile(r"[\w\"`\])] {0,2}[<>]=? {0,2}['\"]?\Z")
# `passport.visits_20240117`, `dag_tel.task_sms.3367686735`, `contact-9663518810`.
_TIED = re.compile(r"[A-Za-z0-9]_\Z|\w_\w*\.\Z|[a-z]-\Z")
_UNIT = re.compile(
    r" ?(?:rows?|records?|bytes?|[kmgt]i?b|ms|µs|us|ns|s|sec|secs|seconds?|minutes?|events?|messages?|"
    r"partitions?|files?|tasks?|"
    r"items?|lines?|times|tokens?|entries|documents?|offsets?|errors?|retries|columns?|tables?|chunks?|splits?)\b",
    re.IGNORECASE,
)


@dataclass
class Scene:
    """One text under examination: its view and the name of the field that it stood in."""

    view: View
    context: str = ""
    _fields: dict[str, bool] = field(default_factory=dict)
    _labels: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Scene:
        """A scene of a text that is a view already."""
        return cls(View(text, b""))

    @property
    def text(self) -> str:
        return self.view.text

    @cached_property
    def lower(self) -> str:
        """The text in lower case, character for character: a view is Latin-1, of which none changes its length."""
        return self.view.text.lower()

    @cached_property
    def _field_words(self) -> str:
        return words_of(self.context)

    def shielded(self, start: int, end: int) -> bool:
        """Whether the characters lie in a UUID, a digest, an ARN, a time or another name made by a machine."""
        left = max(self.text.rfind(char, max(0, start - 800), start) for char in " \t\n\"'")
        right = min(
            (found for char in " \t\n\"'" if (found := self.text.find(char, end, end + 800)) >= 0), default=end + 800
        )
        # A time may stand in two words.
        left = max(0, left - 10)
        spans = (match.span() for match in _SHIELD.finditer(self.text, left, right))
        return any(begin <= start < stop or begin < end <= stop for begin, stop in spans)

    def named(self, group: str) -> bool:
        """Whether the name of the field holds a context word of the group."""
        if not self.context:
            return False
        found = self._fields.get(group)
        if found is None:
            found = self._fields[group] = words_before(group, self._field_words) != NO_CONTEXT
        return found

    def label(self, start: int) -> str:
        """The words that the value at `start` is assigned to (`load_id` in `load_id = 7`), "" without any."""
        known = self._labels.get(start)
        if known is None:
            known = self._labels[start] = self._label(start)
        return known

    def _label(self, start: int) -> str:
        sign = self.text[max(0, start - 8) : start].rstrip(" \t\"'`([<\\")[-1:]
        if sign not in (":", "=", ">"):
            return self.heading(start)
        match = _LABEL.search(self.text, max(0, start - 64), start)
        return "" if match is None else _CLAUSE.split(match["label"])[-1].strip()

    @cached_property
    def _headings(self) -> tuple[str, list[str]]:
        """The separator and the cells of the first line, where the text is rows below a heading; "" where it is not."""
        first, _, rows = self.text.partition("\n")
        separator = next((char for char in "\t;|," if char in first), "")
        cells = [cell.strip(" \r\"'") for cell in first.split(separator)] if separator and rows else []
        return (separator, cells) if cells and all(map(_HEADING.fullmatch, cells)) else ("", [])

    def heading(self, start: int) -> str:
        """The name of the column in which the value at `start` stands, if the text is a table in CSV."""
        line = self.text.rfind("\n", 0, start) + 1
        separator, cells = self._headings if line else ("", [])
        if not separator:
            return ""
        end = self.text.find("\n", start)
        row = self.text[line : end if end >= 0 else len(self.text)]
        return cells[row.count(separator, 0, start - line)] if row.count(separator) == len(cells) - 1 else ""

    def counts(self, start: int, end: int) -> bool:
        """Whether the text says that a number counts or names things of a machine: `rows=7`, `7 rows`, `offset 7`."""
        if _UNIT.match(self.text, end) or _MEASURE_BEFORE.search(self.text, max(0, start - 24), start):
            return True
        label = self.label(start)
        return bool(label) and _MEASURE.search(words_of(label)) is not None

    def tied(self, start: int) -> bool:
        """Whether the number at `start` is the end of a longer name, such as that of a table or of a job."""
        return _TIED.search(self.text, max(0, start - 40), start) is not None

    def between(self, start: int, distance: int) -> str:
        """The words between a value and the context word that `near` found `distance` characters before it."""
        if distance <= 0:
            return ""
        label = words_of(self.label(start))
        spoken = label and not _SAYS_NOTHING.fullmatch(label.strip())
        return (label if spoken else words_of(self.text[max(0, start - 64) : start]))[-distance:]

    def near(self, group: str, start: int, end: int, before: int = 64, after: int = 32) -> int:
        """Characters between start..end and the nearest context word of the group, or `NO_CONTEXT`.

        A value that has a label of its own (`"id": 7`) is spoken of by that label alone.
        """
        if self.named(group):
            return 0
        label = self.label(start)
        if label and not _SAYS_NOTHING.fullmatch(words_of(label).strip()):
            return NO_CONTEXT if _COUNTING.search(words_of(label)) else words_before(group, words_of(label))
        if self.counts(start, end) or _LESS_OR_MORE.search(self.text, max(0, start - 8), start):
            return NO_CONTEXT
        found = words_before(group, words_of(self.text[max(0, start - before) : start]))
        tail = words_of(self.text[end : end + after])
        match = words_before(group, tail[::-1], backwards=True)
        distances = [distance for distance in (found, match) if distance != NO_CONTEXT]
        return min(distances, default=NO_CONTEXT)


@dataclass(frozen=True, slots=True)
class Rule:
    """Runs `find` where one of its triggers occurs. A trigger `context:GROUP` is any context word of that group."""

    kinds: tuple[str, ...]
    triggers: tuple[str, ...]
    find: Callable[[Scene], Iterable[Candidate]]


Triggers = Mapping[str, bytes]
"""Name of a trigger -> its pattern."""
