"""Whole values of fields and columns whose name says that they hold the name or the address of a person."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proventrail.privacy.detect.assignment import is_placeholder
from proventrail.privacy.detect.rule import LOOSE, Candidate, Rule, Scene

TRIGGERS: dict[str, bytes] = {}

_NAME = re.compile(r"[^\W\d_][^\d@:/\\{}<>=;]{0,80}")
_LONGEST = 200


def _whole(scene: Scene, kind: str) -> Iterator[Candidate]:
    value = scene.text.strip()
    start = scene.text.find(value)
    if value and len(value) <= _LONGEST and not is_placeholder(value):
        yield Candidate(start, start + len(value), kind, LOOSE)


def _person_names(scene: Scene) -> Iterator[Candidate]:
    if scene.named("person-name") and _NAME.fullmatch(scene.text.strip().strip("%")):
        yield from _whole(scene, "person-name")


def _addresses(scene: Scene) -> Iterator[Candidate]:
    if scene.named("address") and re.search(r"[^\W\d_]{2}", scene.text):
        yield from _whole(scene, "address")


RULES = (
    Rule(("person-name",), ("field:person-name",), _person_names),
    Rule(("address",), ("field:address",), _addresses),
)
