"""Payment cards, bank accounts and wallets, each proven by its checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from stdnum import bitcoin, iban, luhn

from proventrail.privacy.detect.context import words_of
from proventrail.privacy.detect.rule import CONTEXT, DISTINCT, EDGE, EDGE_BYTES, NO_CONTEXT, Candidate, Rule, Scene

_COUNTRIES = (
    "AD|AE|AL|AT|AZ|BA|BE|BG|BH|BI|BR|BY|CH|CR|CY|CZ|DE|DJ|DK|DO|EE|EG|ES|FI|FK|FO|FR|GB|GE|GI|GL|GR|GT|"
    "HN|HR|HU|IE|IL|IQ|"
    "IS|IT|JO|KW|KZ|LB|LC|LI|LT|LU|LV|LY|MC|MD|ME|MK|MN|MR|MT|MU|NI|NL|NO|OM|PK|PL|PS|PT|QA|RO|RS|RU|SA|"
    "SC|SD|SE|SI|SK|SM|"
    "SO|ST|SV|TL|TN|TR|UA|VA|VG|XK|YE"
)
"""Countries of the IBAN registry of SWIFT."""

TRIGGERS = {
    "card": EDGE_BYTES + rb"(?:[3-6][0-9]{3}(?:[ \-.]|%20)?[0-9]{4}(?:[ \-.]|%20)?[0-9]{4}"
    rb"(?:[ \-.]|%20)?[0-9]{3}|2[2-7][0-9]{2}(?:[ \-.]|%20)?[0-9]{4}(?:[ \-.]|%20)?[0-9]{4}(?:[ \-.]|"
    rb"%20)?[0-9]{4}|3[47][0-9]{2}[ \-.]?[0-9]{6}[ \-.]?[0-9]{5})",
    "iban": EDGE_BYTES + rf"(?i:{_COUNTRIES})[ \-]?[0-9]{{2}}[ \-]?[A-Za-z0-9]{{2}}[A-Za-z0-9 \-]{{9}}".encode(),
    "crypto": rb"(?:^|[^0-9A-Za-z])(?:0x[0-9A-Fa-f]{40}|(?i:bc1|tb1|ltc1)[A-Za-z0-9]{11}|"
    rb"[13LMDT][1-9A-HJ-NP-Za-km-z]{25,34}(?:[^0-9A-Za-z]|$))",
}

_CARD = re.compile(
    EDGE + r"(?<!\.)(?<![0-9A-Za-z]-)(?<!\d[./:])(?:[2-6]\d{3}(?P<s>[ \-.]|%20|)\d{4}"
    r"(?P=s)\d{4}(?P=s)\d{1,7}|3[47]\d{2}(?P<a>[ \-.]?)\d{6}(?P=a)\d{5}|3[068]\d{2}(?P<d>[ "
    r"\-.]?)\d{6}(?P=d)\d{4})"
    r"(?![0-9A-Za-z]|[.\-]\d)"
)
_ISSUERS = re.compile(
    r"4\d{15}|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}|3[47]\d{13}|(?:6011|"
    r"64[4-9]\d|65\d{2})\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14}"
    r"|220[0-4]\d{12}|(?:50[0-9]{2}|5[6-8]\d{2}|6\d{3})\d{12}"
)
_ISSUERS_IN_CONTEXT = re.compile(r"4\d{12}(?:\d{6})?|3(?:0[0-5]|[68]\d)\d{11}|(?:5[06-8]|6\d)\d{10,17}|39\d{12}")
_RARE = re.compile(r"(?:5[06-8]|6[0-37-9])")


# `5421 5457 5459 5423 5432 5482 …`: a table of code points, of which every few lines pass Luhn.
_GROUP_BEFORE = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{4,5} \Z")
_GROUPS_AFTER = re.compile(
    r" (?:[0-9A-Fa-f]{4,5} [0-9A-Fa-f]{4,5}(?![0-9A-Za-z])|"
    r"[0-9]{0,4}[A-F][0-9A-F]{0,4}(?![0-9A-Za-z]))"
)
_OF_AN_ID = re.compile(r"(?:^| )(?:ids?|key)$")


def _in_a_table(text: str, start: int, end: int) -> bool:
    before = _GROUP_BEFORE.search(text, max(0, start - 6), start)
    return before is not None or _GROUPS_AFTER.match(text, end) is not None


def _cards(scene: Scene) -> Iterator[Candidate]:
    for match in _CARD.finditer(scene.text):
        digits = re.sub(r"\D", "", match[0].replace("%20", " "))
        if not luhn.is_valid(digits) or len(set(digits)) < 2 or scene.shielded(*match.span()):
            continue
        known = _ISSUERS.fullmatch(digits) is not None
        grouped = len(digits) < len(match[0])
        if grouped and _in_a_table(scene.text, *match.span()):
            continue
        negative = scene.text[max(0, match.start() - 1) : match.start()] == "-"
        counted = not grouped and (negative or scene.counts(*match.span()))
        # In the path of a URI any number of that length may stand.
        in_path = not grouped and scene.text[max(0, match.start() - 1) : match.start()] == "/"
        if (
            known
            and not counted
            and not in_path
            and (grouped or not _RARE.match(digits) or digits.startswith(("6011", "62")))
        ):
            yield Candidate(match.start(), match.end(), "credit-card", DISTINCT)
            continue
        distance = scene.near("card", *match.span())
        named = distance != NO_CONTEXT and not scene.tied(match.start())
        numbered = _OF_AN_ID.search(words_of(scene.label(match.start()))) is not None
        if named and (known or (_ISSUERS_IN_CONTEXT.fullmatch(digits) and not numbered)):
            yield Candidate(match.start(), match.end(), "credit-card", CONTEXT, distance)
        elif grouped and re.fullmatch(r"3[068]\d{2}[ \-]\d{6}[ \-]\d{4}", match[0]):
            yield Candidate(match.start(), match.end(), "credit-card", CONTEXT, 64)


_IBAN_START = re.compile(EDGE + rf"(?:{_COUNTRIES}|{_COUNTRIES.lower()})[ \-]?\d{{2}}[ \-]?[A-Za-z0-9]{{4}}")
_IBAN_REST = re.compile(r"[A-Za-z]{2}[ \-]?\d{2}(?:[ \-]?[A-Za-z0-9]){11,30}")
_SHORTEST, _LONGEST = 15, 34


def _ibans(scene: Scene) -> Iterator[Candidate]:
    for begin in _IBAN_START.finditer(scene.text):
        match = _IBAN_REST.match(scene.text, begin.start())
        if match is None:
            continue
        # The account ends where a group ends; its country fixes the length, which the validator knows.
        compact = ""
        for position in range(match.start(), match.end()):
            char = scene.text[position]
            if char.isalnum():
                compact += char
            following = scene.text[position + 1 : position + 2]
            at_edge = not following.isalnum()
            if (
                len(compact) >= _SHORTEST
                and at_edge
                and char.isalnum()
                and iban.is_valid(compact.upper(), check_country=False)
            ):
                yield Candidate(match.start(), position + 1, "iban", DISTINCT)
                break


_WALLET = re.compile(
    r"(?<![0-9A-Za-z])(?:0x[0-9A-Fa-f]{40}|(?:bc1|tb1|ltc1)[02-9ac-hj-np-z]{11,71}|(?:BC1|"
    r"LTC1)[02-9AC-HJ-NP-Z]{11,71}|[13LMDT][1-9A-HJ-NP-Za-km-z]{25,34})(?![0-9A-Za-z])"
)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VERSIONS = frozenset({0x00, 0x05, 0x1E, 0x30, 0x32, 0x41})
"""First byte of the addresses of Bitcoin (2), Dogecoin, Litecoin (2) and Tron."""


def _wallets(scene: Scene) -> Iterator[Candidate]:
    for match in _WALLET.finditer(scene.text):
        value = match[0]
        if value.startswith("0x"):
            # Without Keccak the mixed case can't be checked; few distinct characters are a constant in code.
            valid = len(set(value[2:].lower())) >= 6 and not scene.shielded(*match.span())
        elif value.lower().startswith(("bc1", "tb1", "ltc1")):
            valid = _bech32(value.lower())
        else:
            valid = _base58check(value)
        if valid:
            yield Candidate(match.start(), match.end(), "crypto-address", DISTINCT)


def _base58check(value: str) -> bool:
    number = 0
    for char in value:
        number = number * 58 + _BASE58.index(char)
    if number >= 1 << 200:
        return False
    data = number.to_bytes(25, "big")
    check = hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4]
    return check == data[-4:] and data[0] in _VERSIONS


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def _bech32(value: str) -> bool:
    """BIP 173 and BIP 350: the checksum over prefix and data is 1 or, from version 1 on, the constant of bech32m."""
    if value.startswith("bc1") and bitcoin.is_valid(value):
        return True
    prefix, _, data = value.rpartition("1")
    check = 1
    for five in [
        *(ord(char) >> 5 for char in prefix),
        0,
        *(ord(char) & 31 for char in prefix),
        *(_BECH32.find(char) for char in data),
    ]:
        if five < 0:
            return False
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ five
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)


RULES = (
    Rule(("credit-card",), ("card", "context:card"), _cards),
    Rule(("iban",), ("iban",), _ibans),
    Rule(("crypto-address",), ("crypto",), _wallets),
)
