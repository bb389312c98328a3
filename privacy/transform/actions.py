"""What can become of a value: pure functions of kind and text, each idempotent on what it gives.

All that they give is ASCII without quotes, backslashes and blanks, so it can stand in JSON, SQL literals and most of a
URI as it is. `OWN` recognises it, so that a second pass leaves it alone.
"""

from __future__ import annotations

import re

from proventrail.privacy.transform.generalise import GENERALISED

MASK = "******"
_SHOWN = 4
_ENOUGH = 12
"""Shortest text of which a mask shows the end: of a shorter one the end would be too much."""

_SUBJECT = "[a-z2-7]{26}"
_KIND = "[a-z][a-z0-9_-]{0,40}"

OWN = re.compile(
    rf"\[redacted:{_KIND}\]"
    rf"|(?<![A-Za-z0-9]){_KIND}_{_SUBJECT}(?![A-Za-z0-9])"
    rf"|(?<![A-Za-z0-9])ptk1\.{_SUBJECT}\.[A-Za-z0-9_-]+"
    rf"|{re.escape(MASK)}[A-Za-z0-9]{{0,{_SHOWN}}}"
    rf"|{GENERALISED}"
)
"""Stretches that a transformation wrote."""

_HINT = re.compile(rf"\[redacted:|_{_SUBJECT}|ptk1\.|{re.escape(MASK)}|/24|/48|[a-z]:~")


def own(text: str) -> list[tuple[int, int]]:
    """Where in `text` transformations were at work: start and end of each stretch."""
    return [match.span() for match in OWN.finditer(text)] if _HINT.search(text) else []


def is_own(text: str) -> bool:
    """Whether the whole of `text` was written by a transformation."""
    return OWN.fullmatch(text) is not None


def without_own(text: str) -> str:
    """`text` with an asterisk for each stretch that a transformation wrote."""
    return OWN.sub("*", text) if _HINT.search(text) else text


def blanked(text: str) -> str:
    """`text` with x for every character that a transformation wrote: words in pseudonyms tell nothing of others."""
    return OWN.sub(lambda match: "x" * len(match[0]), text) if _HINT.search(text) else text


def redact(kind: str) -> str:
    """What stands where something was taken out: it tells the kind and nothing else."""
    return f"[redacted:{kind}]"


def mask(text: str) -> str:
    """Asterisks, as many for every length, and the last four letters or digits of a text of twelve or more."""
    if is_own(text):
        return text
    end = text[-_SHOWN:]
    return MASK + end if len(text) >= _ENOUGH and end.isascii() and end.isalnum() else MASK


def pseudonym(kind: str, subject_id: str) -> str:
    """Stands for one subject everywhere: letters, digits, hyphen and underscore alone."""
    return f"{kind}_{subject_id}"
