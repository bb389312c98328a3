"""Passports, driving licences and dates of birth: told by the words before them, their forms are too loose alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from proventrail.privacy.detect.identity import compact, is_compact_date
from proventrail.privacy.detect.rule import CONTEXT, NO_CONTEXT, Candidate, Rule, Scene

TRIGGERS: dict[str, bytes] = {}

_DOCUMENT = re.compile(
    r"(?<![0-9A-Za-z])(?=[A-Z0-9 \-]{0,16}\d)[A-Z0-9](?:[ \-]?[A-Z0-9]){4,18}(?![0-9A-Za-z])(?![.\-_]\w)", re.IGNORECASE
)
_DOCUMENT_SHAPES = {
    "passport": re.compile(r"[A-Z]{0,3}\d{6,9}[A-Z]{0,2}|[A-Z0-9]{7,9}"),
    "driver-licence": re.compile(
        r"[A-Z]{0,3}\d{5,14}[A-Z]{0,2}|[A-Z]\d{12,14}|[A-Z]{2}\d{2}\d{4}\d{7}|\d{2}[A-Z]{2}\d{5}|"
        r"[A-Z0-9]{11}|[A-Z9]{5}\d{6}[A-Z9]{2}[A-Z0-9]{3}|[A-Z]{1,7}[A-Z*]{0,5}\d{3}[A-Z0-9]{2,4}|"
        r"\d{3,8}[A-Z]{1,2}\d{0,5}"
    ),
}
_BETWEEN = re.compile(
    r"(?:[^A-Za-z0-9]|is|was|are|number|num|no|nr|n|id|value|of|holder|issued|state|class|the|a|de|du|la|"
    r"des|numéro|numero|"
    r"número|nummer|us|uk|ca|ny|tx|fl|wa|german|french|british|american|canadian|indian|new|document|usa|gbr|deu|fra|"
    r"lautet|ist|es|est|like|in|eq|equals)*",
    re.IGNORECASE,
)


def _documents(kind: str, group: str) -> Rule:
    shape = _DOCUMENT_SHAPES[kind]
    fewest = 4 if kind == "passport" else 3

    def find(scene: Scene) -> Iterator[Candidate]:
        for match in _DOCUMENT.finditer(scene.text):
            found = _document_number(match[0], shape, fewest)
            if found is None:
                continue
            start, end = match.start() + found[0], match.start() + found[1]
            if scene.shielded(start, end) or scene.tied(start):
                continue
            distance = scene.near(group, start, end, before=40, after=0)
            if distance != NO_CONTEXT and _BETWEEN.fullmatch(scene.between(start, distance)):
                yield Candidate(start, end, kind, CONTEXT + 3, distance)

    return Rule((kind,), (f"context:{group}",), find)


def _document_number(value: str, shape: re.Pattern[str], fewest: int) -> tuple[int, int] | None:
    """Where the number of a document stands in a run of upper-case groups, the longest first."""
    edges = [0, *(found.end() for found in re.finditer(r"[ \-]", value))]
    stops = [*(found.start() for found in re.finditer(r"[ \-]", value)), len(value)]
    for start in edges:
        for stop in reversed(stops):
            part = compact(value[start:stop]) if stop > start else ""
            digits = sum(char.isdigit() for char in part)
            raw = value[start:stop]
            mixed = raw != raw.upper() and raw != raw.lower()
            if (
                len(part) >= 6
                and digits >= fewest
                and not mixed
                and shape.fullmatch(part)
                and not is_compact_date(part)
            ):
                return start, stop
    return None


_MONTH = (
    r"(?:jan(?:uary|uar|vier|uari|eiro)?|feb(?:ruary|ruar|ruari)?|f[ée]v(?:rier|ereiro)?|mar(?:ch|s|zo|"
    r"ço)?|m[äa]rz|maart|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|"
    r"may|mai|mei|mayo|maio|maggio|june?|juni|juin|junio|junho|giugno|july?|juli|juillet|julio|julho|"
    r"luglio|aug(?:ust|ustus)?|ao[uû]t|ago(?:sto)?|"
    r"sep(?:t(?:ember|embre|iembre)?)?|set(?:tembre|embro)?|o[ck]t(?:ober|obre)?|out(?:ubro)?|"
    r"ott(?:obre)?|nov(?:ember|embre|iembre|embro)?|"
    r"de[cz](?:ember)?|d[ée]c(?:embre)?|dic(?:iembre|embre)?|dez(?:embro)?|gen(?:naio)?|ene(?:ro)?|enero|"
    r"febbraio|febrero)"
)
_DATE = re.compile(
    rf"(?<![0-9A-Za-z])(?<!\d[\-/.])(?:(?P<y>(?:18|19|20)\d\d)[\-/. ](?P<m>\d{{1,2}})[\-/. ](?P<d>\d{{1,2}})(?=\D|$)"
    rf"|(?P<a>\d{{1,2}})(?P<s>[\-/. ]{{1,2}})(?P<b>\d{{1,2}})(?P=s)(?P<z>(?:18|19|20)\d\d|\d\d)(?![0-9A-Za-z])"
    rf"|(?P<p>(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?![0-9A-Za-z])"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|\.|º)?[ \-./]?(?:of |de |di )?{_MONTH}\.?,?[ \-./]?(?:de |del "
    rf")?(?:(?:18|19|20)\d\d|'?\d\d)(?![0-9A-Za-z])"
    rf"|{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? (?:18|19|20)\d\d(?![0-9A-Za-z]))",
    re.IGNORECASE,
)


def _is_day(match: re.Match[str]) -> bool:
    if match["y"]:
        year, month, day = int(match["y"]), int(match["m"]), int(match["d"])
    elif match["a"]:
        # Day and month stand in either order.
        low, high = sorted((int(match["a"]), int(match["b"])))
        year, month, day = int(match["z"]), low, high
        year += 1900 if year < 100 else 0
    else:
        return True
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


_FARTHEST = 36


def _births(scene: Scene) -> Iterator[Candidate]:
    """The first date after a word for birth, a date right before one, and every date in a field named so."""
    text = scene.text
    everywhere = scene.named("dob")
    previous = 0
    for match in _DATE.finditer(text):
        start, end = match.span()
        if not _is_day(match):
            continue
        # Only what stands between the date before and this one speaks of this one.
        before = text[max(previous, start - _FARTHEST) : start]
        previous = end
        at_time = re.match(r"[T ]\d\d:", text[end : end + 4]) is not None
        heading = scene.heading(start)
        if everywhere or (heading and Scene(scene.view, heading).named("dob")):
            distance = 0
        elif at_time and not scene.label(start):
            # A moment, not a day: `birthday_campaign 2024-11-24T10:00:00`.
            continue
        else:
            distance = _distance(before, text[end : end + 14])
        if distance != NO_CONTEXT:
            yield Candidate(start, end, "date-of-birth", CONTEXT + 6, distance)


_LEADS_ON = re.compile(
    r"(?:[^A-Za-zÀ-ÿ]|is|was|were|on|in|am|den|le|el|il|em|a|the|of|date|value|year|den|dia|día|giorno|dnia|eq|equals|to|"
    r"between|and|like|said|given|entered|T|Z)*",
    re.IGNORECASE,
)


def _distance(before: str, after: str) -> int:
    scene = Scene.of(before + "\0" + after)
    position = len(before)
    found = scene.near("dob", position, position + 1, before=_FARTHEST, after=0)
    if found != NO_CONTEXT and (found == 0 or _LEADS_ON.fullmatch(before[-found:])):
        return found
    closing = re.match(r"\s?[(\[]", after)
    return scene.near("dob", position, position + 1, before=0, after=14) if closing else NO_CONTEXT


RULES = (
    _documents("passport", "passport"),
    _documents("driver-licence", "licence"),
    Rule(("date-of-birth",), ("context:dob",), _births),
)
