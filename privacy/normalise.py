"""What makes two spellings one value, so that one person gets one pseudonym however the value was written."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

import phonenumbers

from proventrail.privacy.spans import KINDS

_COMPACT = frozenset(
    kind.name
    for kind in KINDS.values()
    if kind.group == "national-id" or kind.name in ("iban", "credit-card", "us-dea", "us-npi")
)
_CASELESS = frozenset({"git-author", "home-user", "person-name", "address"})


def normalise(kind: str, text: str) -> str:
    """The canonical spelling of a value of a kind; idempotent, never fails.

    E-mail in lower case, telephone in E.164 where the country is known, numbers and identifiers without blanks, dots
    and dashes, addresses of networks in their canonical form, names without case. Secrets stay as they are: every
    character of them counts. An unknown kind is only trimmed.
    """
    if kind in KINDS and KINDS[kind].group == "secret":
        return text
    text = unicodedata.normalize("NFKC", text).strip()
    text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    if kind == "email":
        return re.sub(r"%40|\\u0040", "@", text, flags=re.IGNORECASE).lower()
    if kind == "phone":
        return _phone(text)
    if kind in ("ip-public", "ip-private"):
        return _address(text)
    if kind == "mac":
        return re.sub(r"[^0-9a-f]", "", text.lower())
    if kind in _COMPACT:
        return re.sub(r"[^0-9A-Za-z]", "", text).upper()
    if kind == "crypto-address":
        return text.lower() if text.lower().startswith(("0x", "bc1", "tb1", "ltc1")) else text
    if kind in _CASELESS:
        return " ".join(text.casefold().split())
    return text


def _phone(text: str) -> str:
    international = re.sub(r"^\s*00", "+", text)
    try:
        number = phonenumbers.parse(international, None)
    except phonenumbers.NumberParseException:
        return re.sub(r"\D", "", text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text.lower()
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
