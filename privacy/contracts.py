"""What the rewriting needs of detection and of the subject vault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


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


class SubjectLike(Protocol):
    """A row of the vault: who is meant (26 characters of base32), and the key of what is kept reversibly."""

    @property
    def subject_id(self) -> str: ...
    @property
    def key(self) -> bytes: ...


Wanted = tuple[str, str]
"""Kind and normalised value."""


class KeepsSubjects(Protocol):
    """The vault: a subject for each wanted identity, in order; new ones are committed before it answers."""

    def subjects(self, wanted: Sequence[Wanted]) -> Sequence[SubjectLike]: ...


class Seals(Protocol):
    """Encrypts one value under its subject's key, bound to event and path. Deterministic."""

    def __call__(self, subject: SubjectLike, plaintext: str, *, event_id: str, path: str) -> str: ...


Normalise = Callable[[str, str], str]
"""(kind, text) -> the form in which all spellings of one identity are equal."""

Groups = Mapping[str, str]
"""Kind -> the group that it belongs to."""
