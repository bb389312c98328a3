"""Stand-ins for detection and the vault, which have tests of their own: a few exact patterns, subjects in memory."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from proventrail.privacy.contracts import Wanted

GROUPS = {
    "email": "contact",
    "phone": "contact",
    "address": "contact",
    "home-user": "person",
    "git-author": "person",
    "person-name": "person",
    "date-of-birth": "person",
    "credit-card": "financial",
    "us-ssn": "national-id",
    "us-npi": "health",
    "ip-public": "network",
    "ip-private": "network",
    "mac": "network",
    "uri-password": "secret",
    "aws-key": "secret",
    "password": "secret",
    "secret": "secret",
}

_PATTERNS = {
    "uri-password": re.compile(r"(?<=://)[^/\s:@]*:([^/\s@]+)@"),
    "email": re.compile(r"([\w.+-]+@[\w-]+(?:\.[\w-]+)+)"),
    "home-user": re.compile(r"/home/([\w-]+)"),
    "password": re.compile(r"(?<=password=)([^\s\"]+)"),
    "us-ssn": re.compile(r"(?<!\d)(\d{3}-\d{2}-\d{4})(?!\d)"),
    "phone": re.compile(r"(?<!\d)(\+?4915\d{8,9})(?!\d)"),
    "aws-key": re.compile(r"(AKIA[A-Z0-9]{16})"),
    "ip-private": re.compile(r"(?<![\d.])(10(?:\.\d{1,3}){3})(?![\d.])"),
    "ip-public": re.compile(r"(?<![\d.])((?!10\.)\d{1,3}(?:\.\d{1,3}){3})(?![\d.])"),
}


@dataclass(frozen=True, order=True)
class Span:
    start: int
    end: int
    kind: str


class Detector:
    """Counts its calls, so that tests see what was remembered."""

    def __init__(self) -> None:
        self.scans = 0

    def may_hold(self, texts: Sequence[str], context: str = "") -> list[bool]:
        return [bool(self._found(text, context)) for text in texts]

    def scan(self, text: str, context: str = "") -> tuple[Span, ...]:
        self.scans += 1
        return self._found(text, context)

    def scan_sql(self, query: str, dialect: str = "") -> tuple[Span, ...]:
        return tuple(
            Span(m.start(1) + s.start, m.start(1) + s.end, s.kind)
            for m in re.finditer("'([^']*)'", query)
            for s in self.scan(m[1])
        )

    def scan_uri(self, uri: str) -> tuple[Span, ...]:
        return self.scan(uri)

    def _found(self, text: str, context: str = "") -> tuple[Span, ...]:
        if context == "nickname" and text:
            return (Span(0, len(text), "person-name"),)
        spans = [
            Span(match.start(1), match.end(1), kind)
            for kind, pattern in _PATTERNS.items()
            for match in pattern.finditer(text)
        ]
        secrets = [span for span in spans if span.kind == "uri-password"]
        # `u:secret@host.com` is no e-mail address.
        return tuple(
            sorted(s for s in spans if s in secrets or not any(s.start < q.end and q.start < s.end for q in secrets))
        )


def normalise(kind: str, text: str) -> str:
    return re.sub(r"[ +-]", "", text) if kind == "phone" else text.strip().casefold()


@dataclass(frozen=True)
class Subject:
    subject_id: str
    key: bytes


class Vault:
    """Ids come from the identity here; the real ones are random."""

    def __init__(self) -> None:
        self.calls: list[list[Wanted]] = []

    def subjects(self, wanted: Sequence[Wanted]) -> list[Subject]:
        self.calls.append(list(wanted))
        return [self._subject(identity) for identity in wanted]

    def _subject(self, identity: Wanted) -> Subject:
        digest = hashlib.sha256("\0".join(identity).encode()).digest()
        return Subject(base64.b32encode(digest[:16]).decode().lower().rstrip("="), digest)


def seal(subject: Subject, plaintext: str, *, event_id: str, path: str) -> str:
    told = "\0".join([plaintext, event_id, path]).encode()
    cipher = base64.urlsafe_b64encode(hashlib.sha256(subject.key + told).digest()).decode().rstrip("=")
    return f"ptk1.{subject.subject_id}.{cipher}"
