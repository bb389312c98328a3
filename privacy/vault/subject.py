"""A subject: what stands for one value (a person's e-mail address, say) in the log, and the key for what is sealed."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field

# Base32 of RFC 4648 in lower case without padding; of the last character only three bits count.
_SUBJECT_ID = re.compile(r"[a-z2-7]{25}[aeimquy4]")


@dataclass(frozen=True)
class Subject:
    """`subject_id`: 26 characters for 128 random bits. `key`: 32 bytes, in clear; it is kept out of `repr`."""

    subject_id: str
    key: bytes = field(repr=False)


def encode_subject_id(data: bytes) -> str:
    """16 bytes -> 26 characters."""
    return base64.b32encode(data).decode().lower().rstrip("=")


def decode_subject_id(text: str) -> bytes:
    """26 characters -> 16 bytes. Raises ValueError if it is no subject id."""
    if not is_subject_id(text):
        raise ValueError("not a subject id: 26 characters of Base32 in lower case")
    return base64.b32decode(text.upper() + "======")


def is_subject_id(text: str) -> bool:
    return _SUBJECT_ID.fullmatch(text) is not None


def new_subject_id() -> str:
    return encode_subject_id(secrets.token_bytes(16))
