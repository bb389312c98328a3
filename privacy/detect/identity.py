"""National identifiers and licences that have a checksum or a form of their own.

Each form has its checksum (python-stdnum where it has one). Numbers that any counter could reach by chance need a
context word; forms that nothing else has are found alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stdnum import luhn
from stdnum.au import abn, tfn
from stdnum.be import bis
from stdnum.be import nn as be_nn
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.in_ import pan as in_pan
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.pt import cc as pt_cc
from stdnum.pt import nif as pt_nif
from stdnum.us import itin

from proventrail.privacy.detect.rule import CONTEXT, EDGE, NO_CONTEXT, Candidate, Rule, Scene

_BEFORE = EDGE + r"(?<!\d[.\-:/])"
_AFTER = r"(?![0-9A-Za-z])(?![.\-:/]\d)"


@dataclass(frozen=True, slots=True)
class _Id:
    """One identifier. `form` is its pattern, `valid` judges the match as written, `group` names its context words,
    `alone` is the narrower form (with case) that needs none, `trigger` occurs wherever that one does."""

    kind: str
    form: str
    valid: Callable[[str], bool]
    group: str
    alone: str = ""
    trigger: bytes = b""


def compact(value: str) -> str:
    """Letters and digits alone, in upper case."""
    return re.sub(r"[^0-9A-Za-z]", "", value).upper()


def _bare(valid: Callable[[str], bool]) -> Callable[[str], bool]:
    """The validator of the number without blanks, dots and dashes. No number repeats one digit."""
    return lambda value: len(set(number := compact(value))) > 1 and valid(number)


def _ssn(value: str) -> bool:
    digits = compact(value)
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def _icao(value: str) -> bool:
    """ICAO 9303: weights 7, 3, 1 over digits and letters (A = 10); the tenth character is the check digit."""
    total = sum(int(char, 36) * weight for char, weight in zip(value[:9], (7, 3, 1) * 3, strict=True))
    return value[9:].isdigit() and total % 10 == int(value[9:])


def _de_card(value: str) -> bool:
    number = compact(value)
    # The check digit is printed in the machine-readable zone alone.
    return any(char.isdigit() for char in number) and (len(number) == 9 or _icao(number))


def _dni(value: str) -> bool:
    return dni.is_valid(compact(value)) and not is_compact_date(value[:8])


def is_compact_date(digits: str) -> bool:
    """Whether eight digits are a day such as `20261124`."""
    return re.fullmatch(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", digits) is not None


def _personnummer(value: str) -> bool:
    """Luhn over the last ten digits; samordningsnummer add 60 to the day."""
    digits = re.sub(r"\D", "", value)[-10:]
    month, day = int(digits[2:4]), int(digits[4:6])
    return 1 <= month <= 12 and 1 <= (day - 60 if day > 60 else day) <= 31 and luhn.is_valid(digits)


def _medicare(value: str) -> bool:
    """Weights 1, 3, 7, 9 over eight digits, modulo 10, is the ninth; an issue number and a reference follow."""
    digits = [int(char) for char in value if char.isdigit()]
    weights = (1, 3, 7, 9, 1, 3, 7, 9)
    return sum(map(int.__mul__, digits[:8], weights)) % 10 == digits[8] and len(set(digits)) > 2


def _nric(value: str) -> bool:
    """Weights 2, 7, 6, 5, 4, 3, 2 plus an offset by prefix, modulo 11, chooses the last letter."""
    total = sum(int(char) * weight for char, weight in zip(value[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    prefix = value[0].upper()
    total += {"T": 4, "G": 4, "M": 3}.get(prefix, 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}[
        prefix
    ]
    index = total % 11 if prefix != "M" else 10 - total % 11
    return letters[index] == value[8].upper()


def _resident(value: str) -> bool:
    """Numbers given since October 2020 have no checksum: only the date counts."""
    digits = compact(value)
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31


def _dea(value: str) -> bool:
    """(1st + 3rd + 5th digit) + 2 × (2nd + 4th + 6th) ends in the seventh."""
    digits = [int(char) for char in value[2:]]
    return (sum(digits[0:6:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6] and len(set(digits)) > 1


def _nino(value: str) -> bool:
    return compact(value)[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


_IDS = (
    _Id(
        "us-ssn",
        r"\d{3}(?P<s>[- .]?)\d{2}(?P=s)\d{4}",
        _ssn,
        "ssn",
        r"\d{3}-\d{2}-\d{4}",
        rb"[0-9]{3}-[0-9]{2}-[0-9]{4}",
    ),
    _Id(
        "us-itin",
        r"9\d{2}(?P<s>[- ]?)\d{2}(?P=s)\d{4}",
        _bare(itin.is_valid),
        "ssn",
        r"\d{3}-\d{2}-\d{4}",
        rb"9[0-9]{2}-[0-9]{2}-[0-9]{4}",
    ),
    _Id("uk-nhs", r"\d{3}(?P<s>[- ]?)\d{3}(?P=s)\d{4}", _bare(nhs.is_valid), "nhs"),
    _Id(
        "uk-nino",
        r"(?i:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]|QQ)(?P<s>[ \-]?)\d{2}(?P=s)\d{2}(?P=s)\d{2}[ \-]?[A-Da-d]",
        _nino,
        "nino",
        r"[A-Z]{2}[ \-]?\d{2}[ \-]?\d{2}[ \-]?\d{2}[ \-]?[A-D]",
        rb"[A-Z]{2}[ \-]?[0-9]{2}[ \-]?[0-9]{2}[ \-]?[0-9]{2}[ \-]?[A-D]",
    ),
    _Id("de-tax-id", r"[1-9]\d(?P<s>[ /.\-]?)\d{3}(?P=s)\d{3}(?P=s)\d{3}", _bare(idnr.is_valid), "de-tax"),
    _Id("de-id-card", r"(?i:[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}\d?)", _de_card, "de-card"),
    _Id(
        "de-id-card",
        r"[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}\dD(?:<<)?",
        lambda value: _icao(value[:10]),
        "de-card",
    ),
    _Id(
        "fr-nir",
        r"[12](?P<s>[ .\-]?)\d{2}(?P=s)(?:0[1-9]|1[0-2]|[2-9]\d)(?P=s)(?:\d{2}|"
        r"2[ABab])(?P=s)\d{3}(?P=s)\d{3}(?P<k>[ .\-/]?)\d{2}",
        _bare(nir.is_valid),
        "nir",
        r".*",
        rb"[12][ .\-]?[0-9]{2}[ .\-]?[0-9]{2}[ .\-]?[0-9][0-9ABab][ .\-]?[0-9]{3}[ .\-]?[0-9]{3}[ .\-/]?[0-9]{2}",
    ),
    _Id(
        "es-dni",
        r"(?:\d{8}|\d{2}\.\d{3}\.\d{3})[ \-]?[A-Za-z]",
        _dni,
        "dni",
        r".*[ \-]?[A-Z]",
        rb"[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}[ \-]?[A-Z]",
    ),
    _Id(
        "es-nie",
        r"[XYZxyz][ \-]?(?:\d{7}|\d\.\d{3}\.\d{3})[ \-]?[A-Za-z]",
        _bare(nie.is_valid),
        "dni",
        r"[XYZ].*[A-Z]",
        rb"[XYZ][ \-]?[0-9]\.?[0-9]{3}\.?[0-9]{3}[ \-]?[A-Z]",
    ),
    _Id(
        "it-codice-fiscale",
        r"(?i:[A-Z]{3} ?[A-Z]{3} ?[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2} ?[A-Z][0-9LMNPQRSTUV]{3} ?[A-Z])",
        _bare(codicefiscale.is_valid),
        "codice",
        r".*",
        rb"(?i:[A-Z]{3} ?[A-Z]{3} ?[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2} ?[A-Z][0-9LMNPQRSTUV]{3} ?[A-Z])",
    ),
    _Id("nl-bsn", r"(?:\d{3}(?P<s>[. \-]?)\d{3}(?P=s)\d{3}|\d{4}\.\d{2}\.\d{3}|\d{8})", _bare(bsn.is_valid), "bsn"),
    _Id("pl-pesel", r"\d{11}|\d{6}[ \-]\d{5}", _bare(pesel.is_valid), "pesel"),
    _Id(
        "be-national-number",
        r"\d{2}(?P<s>[. /]?)\d{2}(?P=s)\d{2}[ \-]?\d{3}[. \-]?\d{2}",
        _bare(lambda number: be_nn.is_valid(number) or bis.is_valid(number)),
        "be",
        r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d",
        rb"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}",
    ),
    _Id("pt-nif", r"(?:PT ?)?[1235689]\d{2}(?P<s>[ .]?)\d{3}(?P=s)\d{3}", _bare(pt_nif.is_valid), "pt-nif"),
    _Id(
        "pt-cc",
        r"\d{8}[ \-]?\d[ \-]?[A-Za-z0-9]{2}\d",
        _bare(pt_cc.is_valid),
        "pt-cc",
        r".*[A-Z]{2}\d",
        rb"[0-9]{8}[ \-]?[0-9][ \-]?[A-Z]{2}[0-9]",
    ),
    _Id("se-personnummer", r"(?:18|19|20)?\d{6}[-+ ]?\d{4}", _personnummer, "pnr"),
    _Id(
        "fi-hetu",
        r"[0-3]\d[01]\d{3}[-+A-FU-Ya-fu-y]\d{3}[0-9A-Ya-y]",
        lambda value: hetu.is_valid(value.upper()),
        "hetu",
        r".{6}(?:[A-FU-Y]\d{3}.|[-+]\d{3}[A-Y])",
        rb"[0-3][0-9][01][0-9]{3}[-+A-FU-Y][0-9]{3}[0-9A-Y]",
    ),
    _Id("in-aadhaar", r"[2-9]\d{3}(?P<s>[ \-]?)\d{4}(?P=s)\d{4}", _bare(aadhaar.is_valid), "aadhaar"),
    _Id(
        "in-pan",
        r"(?i:[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z])",
        lambda value: in_pan.is_valid(value.upper()),
        "in-pan",
        r"[A-Z]{5}\d{4}[A-Z]",
        rb"[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]",
    ),
    _Id("au-tfn", r"\d{3}(?P<s>[ \-]?)\d{3}(?P=s)\d{2,3}", _bare(tfn.is_valid), "tfn"),
    _Id(
        "au-abn",
        r"\d{2}(?P<s>[ \-]?)\d{3}(?P=s)\d{3}(?P=s)\d{3}",
        _bare(abn.is_valid),
        "abn",
        r"\d{2} \d{3} \d{3} \d{3}",
        rb"[0-9]{2} [0-9]{3} [0-9]{3} [0-9]{3}",
    ),
    _Id("au-medicare", r"[2-6]\d{3}(?P<s>[ \-]?)\d{5}(?P=s)\d(?:[ \-/]?[1-9])?", _medicare, "medicare"),
    _Id("sg-nric", r"[STFGMstfgm]\d{7}[A-Za-z]", _nric, "nric", r"[STFGM]\d{7}[A-Z]", rb"[STFGM][0-9]{7}[A-Z]"),
    _Id(
        "kr-rrn",
        r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[- ]\d{7}",
        _bare(rrn.is_valid),
        "rrn",
        r".*-.*",
        rb"[0-9]{6}-[0-9]{7}",
    ),
    _Id("kr-rrn", r"\d{6}[- ]?\d{7}", _resident, "rrn"),
    _Id("ca-sin", r"\d{3}(?P<s>[ \-]?)\d{3}(?P=s)\d{3}", _bare(luhn.is_valid), "sin"),
    _Id("us-dea", r"(?i:[ABCDEFGHJKLMPRSTUX][A-Z9])\d{7}", _dea, "dea"),
    _Id("us-npi", r"[12]\d{9}", lambda value: luhn.is_valid("80840" + value), "npi"),
    _Id(
        "driver-licence",
        r"[A-Z9]{5}\d[0156]\d[0-3]\d\d[A-Z9]{2}[A-Z0-9]{3}(?: ?\d{2})?",
        lambda value: value[:2].isalpha(),
        "licence",
        r".*",
        rb"[A-Z9]{5}[0-9][0156][0-9][0-3][0-9]{2}[A-Z9]{2}[A-Z0-9]{3}",
    ),
)


def _rule(item: _Id) -> Rule:
    form = re.compile(_BEFORE + f"(?:{item.form})" + _AFTER)
    alone = re.compile(item.alone) if item.alone else None

    def find(scene: Scene) -> Iterator[Candidate]:
        for match in form.finditer(scene.text):
            start, end = match.span()
            if scene.shielded(start, end) or not item.valid(match[0]):
                continue
            distance = scene.near(item.group, start, end)
            if distance != NO_CONTEXT and not scene.tied(start):
                yield Candidate(start, end, item.kind, CONTEXT + 5, distance)
            elif (
                alone is not None
                and alone.fullmatch(match[0])
                and not _in_a_chain(scene.text, start, end)
                and not (match[0].isdigit() and scene.counts(start, end))
            ):
                yield Candidate(start, end, item.kind, CONTEXT + 2, 64)

    triggers = (f"context:{item.group}", *((f"id-{item.kind}",) if item.trigger else ()))
    return Rule((item.kind,), triggers, find)


def _in_a_chain(text: str, start: int, end: int) -> bool:
    """Whether more is tied to the number by `-` or `_`: a part of a longer name, not a number that stands alone."""
    return (
        text[max(0, start - 1) : start] in ("-", "_")
        or text[end : end + 1] == "_"
        or re.match(r"-\w", text[end : end + 2]) is not None
    )


TRIGGERS = {f"id-{item.kind}": item.trigger for item in _IDS if item.trigger}

RULES = tuple(_rule(item) for item in _IDS)
