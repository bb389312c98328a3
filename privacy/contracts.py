"""What the rewriting needs of detection and of the subject vault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from proventrail.privacy.vault import Subject


class SpanLike(Protocol):
    """A stretch of a text, by string indices, and what kind of personal data or secret it is."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def kind(self) -> str: ...


class Detects(Protocol):
    """Finds personal data and secrets. `context` is the name of the field that a text stands in."""

    def may_hold(self, texts: Sequence[str], context: str = "") -> list[bool]:
        """Whether `scan` may find something: a yes may be wrong, a no never is."""

    def scan(self, text: str, context: str = "") -> Sequence[SpanLike]: ...

    def scan_sql(self, query: str, dialect: str = "") -> Sequence[SpanLike]:
        """In literals and comments alone."""

    def scan_uri(self, uri: str) -> Sequence[SpanLike]:
        """Secrets of a text that is one URI."""


Wanted = tuple[str, str]
"""Kind and normalised value."""


class KeepsSubjects(Protocol):
    """The vault: a subject for each wanted identity, in order; new ones are committed before it answers."""

    def subjects(self, wanted: Sequence[Wanted]) -> Sequence[Subject]: ...


class Seals(Protocol):
    """Encrypts one value under its subject's key, bound to event and path. Deterministic."""

    def __call__(self, subject: Subject, plaintext: str, *, event_id: str, path: str) -> str: ...


Normalise = Callable[[str, str], str]
"""(kind, text) -> the form in which all spellings of one identity are equal."""

Groups = Mapping[str, str]
"""Kind -> the group that it belongs to."""
