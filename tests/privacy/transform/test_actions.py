"""The contract of transformations: coarse enough, the same every time, and left alone by a second pass."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.privacy.transform.actions import is_own, mask, own, pseudonym, redact
from proventrail.privacy.transform.generalise import generalise

SUBJECT = "abcdefghijklmnopqrstuvwxyz"[:24] + "27"
SAFE = re.compile(r"[A-Za-z0-9_.:~/*\[\]-]+")


@pytest.mark.parametrize("given_", ["4111111111111111", "ab", "", "ünïcödé-lang-genug", "x" * 12 + '"'])
def test_a_mask_shows_four_characters_at_most(given_: str) -> None:
    found = mask(given_)
    assert found != given_
    assert SAFE.fullmatch(found)
    assert mask(found) == found
    assert is_own(found)
    shown = found.strip("*")
    assert len(shown) <= 4
    assert given_.endswith(shown)


@given(st.text())
def test_a_mask_never_gives_the_text_itself(text: str) -> None:
    assert is_own(text) or mask(text) != text


@pytest.mark.parametrize(
    ("kind", "text", "coarse"),
    [
        ("ip-public", "203.0.113.77", "203.0.113.0/24"),
        ("ip-public", "203.0.113.0", "203.0.113.0/24"),
        ("ip-public", "2001:db8:1:2::9", "2001:db8:1::/48"),
        ("ip-public", "[2001:db8:1:2::9]", "2001:db8:1::/48"),
        ("date-of-birth", "1980-04-21", "date:~1980"),
        ("date-of-birth", "21.4.1980", "date:~1980"),
        ("time", "2026-11-25T09:00:01.5Z", "date:~2026-11-25"),
        ("age", "47", "age:~40-49"),
        ("age", "93 years", "age:~90-or-more"),
        ("place", "52.5163, 13.3777", "place:~52_13"),
        ("address", "1 High Street, Leeds, United Kingdom", "place:~United-Kingdom"),
        ("address", "1 High Street, LS1 4AP", None),
        ("place", "EC1A 1BB", "place:~EC1"),
        ("place", "Springfield", None),
        ("other", "10.1.2.3", "10.1.2.0/24"),
        ("ip-public", "no address", None),
    ],
)
def test_what_is_made_coarser(kind: str, text: str, coarse: str | None) -> None:
    assert generalise(kind, text) == coarse
    if coarse is not None:
        assert is_own(coarse)
        assert SAFE.fullmatch(coarse)


def test_own_stretches_are_found_within_a_text() -> None:
    told = [redact("aws-key"), pseudonym("home-user", SUBJECT), f"ptk1.{SUBJECT}.aGk_-", mask("4" * 16), "10.1.2.0/24"]
    text = f"key={told[0]} /home/{told[1]}/x {told[2]}, {told[3]} and {told[4]}: none of ann@x.org/24"
    assert [text[start:end] for start, end in own(text)] == told
    assert own("nothing_here ******") == [(13, 19)]
    assert own("plain") == []
    assert not is_own(f"{told[1]}@example.org")


@pytest.mark.parametrize("kind", ["email", "us-ssn", "value", "a_b-c"])
def test_pseudonyms_can_stand_in_names_and_uris(kind: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]+", pseudonym(kind, SUBJECT))
    assert is_own(pseudonym(kind, SUBJECT))
    assert is_own(redact(kind))
