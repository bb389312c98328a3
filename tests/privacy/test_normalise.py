"""Two spellings of one value are one value; two values stay two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.privacy.normalise import normalise
from proventrail.privacy.spans import KINDS


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("email", "Jane.Doe@Example.COM", "jane.doe%40example.com"),
        ("phone", "+49 (0) 30 901820", "004930901820"),
        ("phone", "030/90 18 20", "030 901820"),
        ("iban", "de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("credit-card", "4111-1111-1111-1111", "４１１１１１１１１１１１１１１１"),
        ("ip-public", "2606:4700:4700:0:0:0:0:1111", "2606:4700:4700::1111"),
        ("ip-public", "::ffff:8.8.8.8", "8.8.8.8"),
        ("mac", "00-1B-44-11-3A-B7", "001b.4411.3ab7"),
        ("es-dni", "12.345.678-z", "12345678Z"),
        ("person-name", "Jane  DOE", "jane doe"),
        ("crypto-address", "0xABCDEF", "0xabcdef"),
        ("email", "ja\u200bne@example.com", "jane@example.com"),
    ],
)
def test_spellings(kind: str, one: str, other: str) -> None:
    assert normalise(kind, one) == normalise(kind, other)


def test_secrets_keep_every_character() -> None:
    assert normalise("password", " Ab ") == " Ab "
    assert normalise("crypto-address", "1A1zP1eP") != normalise("crypto-address", "1a1zp1ep")


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=40))
def test_idempotent_and_never_failing(kind: str, text: str) -> None:
    once = normalise(kind, text)
    assert normalise(kind, once) == once
