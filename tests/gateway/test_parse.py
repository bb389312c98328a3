"""JSON comes in unchanged, or is refused with a place and no value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.gateway.parse import Malformed, parse_json

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES, st.booleans())
def test_every_json_value_comes_back(value: object, ascii_only: bool) -> None:
    found = parse_json(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert found == value
    assert json.dumps(found) == json.dumps(value)


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30, -(10**18)])
def test_long_integers_stay_integers(number: int) -> None:
    found = parse_json(b'{"n": %d}' % number)
    assert found == {"n": number}
    assert isinstance(found["n"], int)


def test_the_last_of_equal_keys_counts() -> None:
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}
    assert parse_json(b'{"a": 1, "a": 99999999999999999999}') == {"a": 99999999999999999999}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"  \n ",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e400}',
        b'{"a": 01}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b'"secret\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"1" + b"0" * 5000,
        b"[" * 1010 + b"1" * 20 + b"]" * 1010,
    ],
)
def test_what_is_not_json_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_json(text)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 80


def test_the_place_is_named() -> None:
    with pytest.raises(Malformed, match=r"line 2, column 8"):
        parse_json(b'{\n  "a": secret}')
