"""JSON text -> values, without a change to any number that JSON can carry."""

from __future__ import annotations

import json
from typing import Any

import orjson

# A number of so many digits may be beyond 64 bits, where orjson turns an integer into a float.
_LONG = b"0" * 19
_DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))


class Malformed(ValueError):
    """Text that is not JSON. The message names a place, not a value."""


def parse_json(text: bytes) -> Any:
    """The value of `text`. Of equal keys in an object the last one counts. Raises Malformed."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not text.strip():
            raise Malformed("empty where JSON must be") from None
        raise Malformed(f"not JSON in UTF-8 (line {error.lineno}, column {error.colno})") from None
    if _LONG in text.translate(_DIGITS_TO_ZERO):
        return _parse_long_numbers(text)
    return value


def _parse_long_numbers(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise Malformed("objects and arrays are nested too deeply") from None
    except ValueError:
        # orjson has taken the text: what is left is the limit of digits of an int.
        raise Malformed("a number has too many digits") from None
