"""Texts that are rewritten but for the pseudonyms: those are filled in when the vault has answered for the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from proventrail.privacy.contracts import Seals, Wanted
from proventrail.privacy.transform.actions import pseudonym
from proventrail.privacy.vault import Subject


class Finding(NamedTuple):
    """What was found where, and what was done: never the value."""

    path: str
    kind: str
    action: str


@dataclass(frozen=True, slots=True)
class Blank:
    """A place for a pseudonym, or with `sealed` for a ciphertext of `text`."""

    wanted: Wanted = field(repr=False)
    kind: str
    path: str
    sealed: bool = False
    text: str = field(default="", repr=False)


@dataclass
class Draft:
    """`parts` joined are the new text. `dropped`: a facet that is to be taken out as a whole.

    Not to be changed once it was asked anything.
    """

    parts: list[str | Blank] = field(default_factory=list)
    findings: Counter[Finding] = field(default_factory=Counter)
    dropped: bool = False

    @cached_property
    def blanks(self) -> list[Blank]:
        return [part for part in self.parts if isinstance(part, Blank)]

    @cached_property
    def per_event(self) -> bool:
        """Whether the text differs from event to event: ciphertext is bound to its event."""
        return any(blank.sealed for blank in self.blanks)

    def render(self, subjects: Mapping[Wanted, Subject], seal: Seals, event_id: str = "") -> str:
        """The new text. `subjects` must hold what the blanks want."""
        return "".join(
            part if isinstance(part, str) else _filled(part, subjects[part.wanted], seal, event_id)
            for part in self.parts
        )

    def size(self) -> int:
        """About how many bytes it holds."""
        return 200 + sum(60 + (len(part) if isinstance(part, str) else 200) for part in self.parts)


def _filled(blank: Blank, subject: Subject, seal: Seals, event_id: str) -> str:
    if blank.sealed:
        return seal(subject, blank.text, event_id=event_id, path=blank.path)
    return pseudonym(blank.kind, subject.subject_id)
