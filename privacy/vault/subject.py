"""A subject: what stands for one value (a person's e-mail address, say) in the log, and the key for what is sealed."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

# Crockford's Base32 in lower case (crockford.com/base32.html): no i, l, o, u, so that an id can be read aloud.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {char: value for value, char in enumerate(_ALPHABET)}
# 26 characters carry 130 bits: the first one stands for three of the 128.
_SUBJECT_ID = re.compile(rf"[0-7][{_ALPHABET}]{{25}}")


@dataclass(frozen=True)
class Subject:
    """`subject_id`: 26 characters for 128 random bits. `key`: 32 bytes, in clear; it is kept out of `repr`."""

    subject_id: str
    key: bytes = field(repr=False)


def encode_subject_id(data: bytes) -> str:
    """16 bytes -> 26 characters."""
    number = int.from_bytes(data, "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def decode_subject_id(text: str) -> bytes:
    """26 characters -> 16 bytes. Raises ValueError if it is no subject id."""
    if not is_subject_id(text):
        raise ValueError("not a subject id: 26 characters of Crockford's Base32 in lower case")
    number = 0
    for char in text:
        number = number << 5 | _VALUE[char]
    return number.to_bytes(16, "big")


def is_subject_id(text: str) -> bool:
    return _SUBJECT_ID.fullmatch(text) is not None


def new_subject_id() -> str:
    return encode_subject_id(secrets.token_bytes(16))
