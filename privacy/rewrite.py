"""A policy applied to single texts: what is found in them by rule and by detection, and what stands there instead."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from proventrail.privacy.contracts import Detects, Normalise, SpanLike
from proventrail.privacy.draft import Blank, Draft, Finding
from proventrail.privacy.json_text import Leaf, NotJson, leaves
from proventrail.privacy.memo import Memo
from proventrail.privacy.policy.policy import Place, Policy, Treatment
from proventrail.privacy.transform.actions import blanked, is_own, mask, own, redact
from proventrail.privacy.transform.generalise import generalise

_SCANS = ("detect", "sql", "uri")
_HOST_ENDS = (":", "/")
_HOST_STARTS = ("/", "@", "[")
_LOOSE = ("password", "secret", "person-name", "address")
"""Kinds that are told by the words around a value: in SQL, outside of literals, such a value may be a column's name."""
_NAME = re.compile(r"[^\W\d][\w.$]*|\W*\w{0,3}\W*")
_REMEMBERED = 16 << 20
_ENTRY = 150
_SHORT = 256
UNEXAMINED = "unexamined"
"""Kind of a facet that is beyond the limits of the policy: redacted as a whole."""

Parts = list[str | Blank]


class Rewriter:
    """`text` for typed fields, `facet` for JSON. Both give None for what stays as it is. Knows nothing of the vault."""

    def __init__(self, policy: Policy, detector: Detects, normalise: Normalise) -> None:
        self.policy = policy
        self.detector = detector
        self._normalise = normalise
        self._identities = policy.model.identities
        self._telling: Memo[str, bool] = Memo(_REMEMBERED)
        self._harmless: Memo[str, bool] = Memo(_REMEMBERED)

    # -- single texts --------------------------------------------------------------------------------------------------

    def treatment(self, place: Place, value: str, named: Place | None = None) -> Treatment:
        """The first rule that fits the value at `place`; also what fits the name that stands beside it counts."""
        targets = place.targets
        if named is not None and named.first < place.first:
            targets = named.targets + targets
        for target in targets:
            if target.fits(value):
                return target
        return self.policy.default

    def decided(self, place: Place) -> Treatment | None:
        """The rule for all values at and beneath `place`, whatever they are; None if there is no such rule."""
        if place.open_patterns:
            return None
        rule = place.targets[0] if place.targets else self.policy.default
        return rule if rule.only is None and rule.unless is None else None

    def key(self, value: str, path: str) -> Draft | None:
        """The name of a facet: detection alone, no rule names it."""
        draft = Draft()
        draft.parts = self._in_spans(self.policy.default, value, path, "", draft) or []
        return draft if draft.parts else None

    def text(self, place: Place, value: str, path: str, context: str = "") -> Draft | None:
        """A typed field."""
        draft = Draft()
        parts = self._apply(self.treatment(place, value), value, path, context, draft)
        if parts is None:
            return None
        draft.parts = parts
        return draft

    def _apply(
        self, rule: Treatment, value: str, path: str, context: str, draft: Draft, dialect: str = ""
    ) -> Parts | None:
        if rule.transform == "keep" or not value:
            return None
        if rule.transform in _SCANS:
            return self._in_spans(rule, value, path, context, draft, dialect)
        prefix = next((p for p in rule.prefixes if value.lower().startswith(p)), "")
        head, body = value[: len(prefix)], value[len(prefix) :]
        if not body or is_own(body):
            return None
        kind = self._kind_of_whole(rule, body, context)
        new, done = self._instead(kind, rule.transform, body, path)
        draft.findings[Finding(path, kind, done)] += 1
        return [head, new]

    def _kind_of_whole(self, rule: Treatment, value: str, context: str) -> str:
        """What detection takes the whole value for: the same e-mail address is the same person wherever it stands."""
        spans = self.detector.scan(value, context)
        whole = next((span for span in spans if span.start == 0 and span.end == len(value)), None)
        return whole.kind if whole is not None else rule.kind

    def _spans(self, rule: Treatment, value: str, context: str, dialect: str) -> Sequence[SpanLike]:
        value = blanked(value)
        found = self.detector.scan(value, context)
        if rule.transform == "uri":
            return [*self.detector.scan_uri(value), *found]
        if rule.transform == "sql":
            # What has a form of its own is no part of SQL's grammar, wherever it stands: in names, in broken queries.
            certain = [span for span in found if span.kind not in _LOOSE or _no_name(value[span.start : span.end])]
            return [*self.detector.scan_sql(value, dialect), *certain]
        return found

    def _in_spans(
        self, rule: Treatment, value: str, path: str, context: str, draft: Draft, dialect: str = ""
    ) -> Parts | None:
        found = sorted((span.start, -span.end, span.kind) for span in self._spans(rule, value, context, dialect))
        if not found:
            return None
        parts: Parts = []
        at = 0
        for start, end, kind in _without_own(value, _disjoint(found)):
            action = rule.action(kind)
            if action == "keep":
                continue
            new, done = self._instead(kind, action, value[start:end], path)
            if action == "generalise" and _is_host(value, start, end):
                new = _without_prefix_length(new)
            if new == value[start:end]:
                continue
            draft.findings[Finding(path, kind, done)] += 1
            parts += [value[at:start], new]
            at = end
        return [*parts, value[at:]] if parts else None

    def _instead(self, kind: str, action: str, text: str, path: str) -> tuple[str | Blank, str]:
        """What stands in place of `text`, and what was done."""
        if action in ("pseudonymise", "tokenise"):
            shared = self._identities.get(kind, kind)
            wanted = (shared, self._normalise(shared, text))
            sealed = action == "tokenise"
            return Blank(wanted, shared, path, sealed, text if sealed else ""), action
        if action == "drop":
            return "", action
        if action == "mask":
            return mask(text), action
        coarse = generalise(kind, text) if action == "generalise" else None
        return (coarse, action) if coarse is not None else (redact(kind), "redact")

    # -- JSON ----------------------------------------------------------------------------------------------------------

    def facet(self, place: Place, text: str, path: str) -> Draft | None:
        """A facet, or another JSON text. What is no JSON counts as free text; what is beyond the limits is redacted."""
        if len(text) > self.policy.limits.facet_bytes:
            return self._unexamined(path)
        rule = self.decided(place)
        if rule is not None and rule.transform == "keep":
            return None
        if rule is not None and rule.transform == "drop":
            return Draft(findings=Counter([Finding(path, rule.kind, "drop")]), dropped=True)
        try:
            found = leaves(text, place, path, self.policy.limits.depth)
        except NotJson as error:
            return self._unexamined(path) if "deep" in str(error) else self.text(place, text, path)
        return self._in_json(text, found)

    def telling(self, name: str) -> bool:
        """Whether detection may take a value for personal data by the name that it stands under."""
        known = self._telling.get(name)
        if known is None:
            # A text that holds nothing by itself.
            [known] = self.detector.may_hold(["x"], name)
            self._telling.put(name, known, _ENTRY + len(name))
        return known

    def _idle(self, found: list[Leaf], rules: list[Treatment]) -> set[int]:
        """The leaves in which detection proves to find nothing. Names and values that come again are remembered."""
        idle: set[int] = set()
        asked: list[int] = []
        for i, rule in enumerate(rules):
            leaf = found[i]
            if rule.transform == "detect" and not (leaf.context and self.telling(leaf.context)):
                if self._harmless.get(leaf.value):
                    idle.add(i)
                else:
                    asked.append(i)
        for i, flag in zip(asked, self.detector.may_hold([found[i].value for i in asked]), strict=True):
            if not flag:
                idle.add(i)
                if len(found[i].value) <= _SHORT:
                    self._harmless.put(found[i].value, True, _ENTRY + len(found[i].value))
        return idle

    def _unexamined(self, path: str) -> Draft:
        return Draft([f'"{redact(UNEXAMINED)}"'], Counter([Finding(path, UNEXAMINED, "redact")]))

    def _in_json(self, text: str, found: list[Leaf]) -> Draft | None:
        rules = [self.policy.default if f.is_key else self.treatment(f.place, f.value, f.named) for f in found]
        idle = self._idle(found, rules)
        draft = Draft()
        at = 0
        for i, (leaf, rule) in enumerate(zip(found, rules, strict=True)):
            if i in idle:
                continue
            parts = self._apply(rule, leaf.value, leaf.path, leaf.context, draft, leaf.dialect)
            if parts is None:
                continue
            draft.parts.append(text[at : leaf.start])
            draft.parts += _quoted(parts, leaf, rule)
            at = leaf.end
        if not draft.parts:
            return None
        draft.parts.append(text[at:])
        return draft


def _quoted(parts: Parts, leaf: Leaf, rule: Treatment) -> Parts:
    """Parts as a JSON string. What transformations write needs no escapes; a dropped value is null."""
    if rule.transform == "drop" and not leaf.is_key:
        return ["null"]
    return ['"', *(json.dumps(p, ensure_ascii=False)[1:-1] if isinstance(p, str) else p for p in parts), '"']


def _no_name(text: str) -> bool:
    """Whether a text can be no name of a column, and is no mere placeholder."""
    return _NAME.fullmatch(text) is None


def _is_host(text: str, start: int, end: int) -> bool:
    """Whether an address stands where a URI has its host: there a network's `/24` would be taken for a path."""
    return text[end : end + 1] in _HOST_ENDS or (start > 0 and text[start - 1] in _HOST_STARTS)


def _without_prefix_length(new: str | Blank) -> str | Blank:
    return new.removesuffix("/24").removesuffix("/48") if isinstance(new, str) else new


def _disjoint(found: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans (start, -end, kind), sorted, without overlap: what reaches beyond an earlier one keeps its rest."""
    spans: list[tuple[int, int, str]] = []
    at = 0
    for start, negative_end, kind in found:
        end = -negative_end
        if end > at:
            spans.append((max(start, at), end, kind))
            at = end
    return spans


def _without_own(text: str, spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans less what a transformation wrote; of an e-mail address with a pseudonym before its @ nothing is left."""
    taken = own(text)
    if not taken:
        return spans
    left: list[tuple[int, int, str]] = []
    for start, end, kind in spans:
        inside = [(a, b) for a, b in taken if a < end and b > start]
        if inside and kind == "email":
            continue
        at = start
        for a, b in [*inside, (end, end)]:
            if a > at and any(char.isalnum() for char in text[at:a]):
                left.append((at, a, kind))
            at = max(at, b)
    return left
