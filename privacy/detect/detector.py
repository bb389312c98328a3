"""The detector: prefilter, then the rules whose triggers occurred, then one answer where findings overlap."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache

from proventrail.privacy.detect import (
    assignment,
    contact,
    context,
    documents,
    finance,
    identity,
    naming,
    network,
    sql,
    statement,
    tokens,
    uri,
)
from proventrail.privacy.detect.prefilter import CONTEXT_PREFIX, Backend, Prefilter, prefilter
from proventrail.privacy.detect.rule import LOOSE, SECRET, Candidate, Rule, Scene
from proventrail.privacy.detect.view import View, view
from proventrail.privacy.spans import KINDS, Span

_MODULES = (tokens, uri, contact, finance, identity, documents, network, assignment, statement, naming)

_NEVER_NAMES = frozenset(
    kind.name for kind in KINDS.values() if kind.group == "secret" and kind.name not in ("password", "secret")
)

_MEMO_CHARACTERS = 16_000_000
"""Bound of the memo: characters of the texts it holds."""

_MEMO_LONGEST = 16_384
"""Longer texts are not kept: they hardly come twice."""


class Detector:
    """Finds personal data and secrets in texts. One detector may serve several threads.

    `kinds`: only these are reported; all of `KINDS` by default. ValueError for a name that is none of them.
    `backend`: engine of the prefilter; the spans are the same with each.
    """

    def __init__(self, kinds: Collection[str] | None = None, *, backend: Backend = "auto") -> None:
        unknown = sorted(set(kinds or ()) - set(KINDS))
        if unknown:
            raise ValueError(f"unknown kinds of finding: {', '.join(unknown)}; known are: {', '.join(sorted(KINDS))}")
        self._kinds = frozenset(KINDS if kinds is None else kinds)
        # A rule for other kinds still runs where it may outweigh one that is wanted: `u:secret@host.com` is no e-mail.
        rules = [rule for module in _MODULES for rule in module.RULES]
        triggers = _triggers()
        bits = {name: 1 << index for index, name in enumerate(triggers)}
        self._prefilter = _prefilter(backend)
        self._rules = [(_mask(rule, bits), rule) for rule in rules]
        # Rules that look at the name of the field alone have no trigger in a text.
        self._relevant = _union(mask for mask, _ in self._rules)
        self._context_bits = {
            group: bits[CONTEXT_PREFIX + group] for group in context.GROUPS if CONTEXT_PREFIX + group in bits
        }
        self._fields: dict[str, tuple[int, frozenset[str]]] = {}
        self._memo: dict[tuple[str, str, str], tuple[Span, ...]] = {}
        self._memo_size = 0

    def may_hold(self, texts: Sequence[str], context: str = "") -> list[bool]:
        """For each text, whether `scan` with the same `context` may find something; False proves that it does not."""
        fields, named = self._field(context)
        if named:
            return [bool(text) for text in texts]
        hits, relevant = self._prefilter.hits, self._relevant
        return [
            bool((hits(text.encode("ascii") if text.isascii() else view(text).data) | fields) & relevant)
            for text in texts
        ]

    def scan(self, text: str, context: str = "") -> tuple[Span, ...]:
        """What the text holds: spans in ascending order that do not overlap.

        `context`: name of the field that the text stands in, such as `dateOfBirth`: counts as words near each value.
        """
        return self._remembered("scan", text, context, self._scan)

    def scan_sql(self, query: str, dialect: str = "") -> tuple[Span, ...]:
        """Findings in the literals and comments of a query; identifiers and structure are never touched.

        The names of the columns that a literal is compared with, assigned or inserted to are its context. `dialect` is
        one of sqlglot's names; unknown ones and queries that can't be parsed are read token by token.
        """
        return self._remembered("sql", query, dialect, self._scan_sql)

    def scan_uri(self, uri: str) -> tuple[Span, ...]:
        """Secrets of a text that is one URI, DSN or connection string; all else of it (user, host, path) is kept."""
        return self._remembered("uri", uri, "", self._scan_uri)

    def _remembered(
        self, way: str, text: str, context: str, scan: Callable[[str, str], tuple[Span, ...]]
    ) -> tuple[Span, ...]:
        key = (way, text, context)
        found = self._memo.get(key)
        if found is None:
            found = scan(text, context)
            if len(text) <= _MEMO_LONGEST:
                if self._memo_size + len(text) > _MEMO_CHARACTERS:
                    self._memo, self._memo_size = {}, 0
                self._memo[key] = found
                self._memo_size += len(text) + 64
        return found

    def _scan(self, text: str, context: str) -> tuple[Span, ...]:
        fields, named = self._field(context)
        seen = view(text)
        hits = self._prefilter.hits(seen.data) | fields
        if not hits & self._relevant and not named:
            return ()
        scene = Scene(seen, context)
        candidates = [
            candidate
            for mask, rule in self._rules
            if mask & hits or (named and not named.isdisjoint(rule.triggers))
            for candidate in rule.find(scene)
        ]
        return self._spans(candidates, seen)

    def _scan_sql(self, query: str, dialect: str) -> tuple[Span, ...]:
        found: list[Candidate] = []
        for part in sql.parts(query, dialect):
            text = query[part.start : part.end]
            found += [
                Candidate(part.start + span.start, part.start + span.end, span.kind, LOOSE)
                for span in self._best(self._scan(text, name) for name in (part.contexts or ("",)))
            ]
        # Keys and passwords with a form of their own are no identifiers, however a query quotes or breaks them.
        found += [
            Candidate(span.start, span.end, span.kind, SECRET)
            for span in self._scan(query, "")
            if span.kind in _NEVER_NAMES
        ]
        return tuple(Span(one.start, one.end, one.kind) for one in resolve(found))

    @staticmethod
    def _best(findings: Iterable[tuple[Span, ...]]) -> tuple[Span, ...]:
        """Of the findings of one literal under several names, those that cover most."""
        return max(findings, key=lambda spans: sum(span.end - span.start for span in spans))

    def _scan_uri(self, uri: str, context: str) -> tuple[Span, ...]:
        seen = view(uri)
        scene = Scene(seen)
        candidates = list(uri_candidates(scene, self._rules))
        return self._spans(candidates, seen)

    def _field(self, name: str) -> tuple[int, frozenset[str]]:
        """Trigger bits that the name of a field sets, and the triggers of rules for whole values."""
        if not name:
            return 0, frozenset()
        known = self._fields.get(name)
        if known is None:
            scene = Scene(View("", b""), name)
            groups = [group for group in context.GROUPS if scene.named(group)]
            bits = _union(self._context_bits.get(group, 0) for group in groups)
            wanted = {trigger for _, rule in self._rules for trigger in rule.triggers if trigger.startswith("field:")}
            known = bits, frozenset(f"field:{group}" for group in groups) & frozenset(wanted)
            if len(self._fields) > 10_000:
                self._fields.clear()
            self._fields[name] = known
        return known

    def _spans(self, candidates: Collection[Candidate], seen: View) -> tuple[Span, ...]:
        if not candidates:
            return ()
        kept = resolve(candidates)
        return tuple(Span(*seen.original(one.start, one.end), one.kind) for one in kept if one.kind in self._kinds)


def uri_candidates(scene: Scene, rules: Iterable[tuple[int, Rule]]) -> Iterable[Candidate]:
    """Secrets of one URI: its own parts, and tokens and assignments anywhere in it."""
    yield from uri.in_whole_uri(scene)
    for rule in (*tokens.RULES, *assignment.RULES, *statement.RULES):
        if not any(trigger.startswith("field:") for trigger in rule.triggers):
            yield from rule.find(scene)


def resolve(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate per place, ascending. A secret that reaches beyond a stronger finding lends it its length."""
    ranked = sorted(candidates, key=lambda one: (-one.strength, one.start - one.end, one.distance, one.start, one.kind))
    kept: list[Candidate] = []
    for one in ranked:
        rivals = [other for other in kept if other.start < one.end and one.start < other.end]
        if not rivals:
            kept.append(one)
        elif (
            KINDS[one.kind].group == "secret"
            and not _parsed(rivals)
            and any(other.start > one.start or other.end < one.end for other in rivals)
        ):
            start = min(one.start, *(other.start for other in rivals))
            end = max(one.end, *(other.end for other in rivals))
            kept = [other for other in kept if other not in rivals]
            kept.append(Candidate(start, end, rivals[0].kind, rivals[0].strength))
    return sorted(kept, key=lambda one: one.start)


def _parsed(rivals: Iterable[Candidate]) -> bool:
    """Whether the syntax of a URI has told where a secret ends."""
    return any(other.kind in ("uri-password", "uri-secret") for other in rivals)


@cache
def _triggers() -> dict[str, bytes]:
    """All triggers, in the order of their bits."""
    used = {trigger for module in _MODULES for rule in module.RULES for trigger in rule.triggers}
    shapes = {name: pattern for module in _MODULES for name, pattern in module.TRIGGERS.items()}
    words = {CONTEXT_PREFIX + group: context.trigger_of(group) for group in context.GROUPS}
    return shapes | {name: pattern for name, pattern in words.items() if name in used}


@cache
def _prefilter(backend: Backend) -> Prefilter:
    """One engine for all detectors of a process: compiling the patterns takes a second."""
    return prefilter(_triggers(), backend)


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _mask(rule: Rule, bits: dict[str, int]) -> int:
    return _union(bits[trigger] for trigger in rule.triggers if not trigger.startswith("field:"))
