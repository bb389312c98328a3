"""Principals, the cache's bound, and comparisons that take one time."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.privacy.vault import Refused, SealError, Subject, VaultError
from proventrail.privacy.vault.cache import SubjectCache
from proventrail.privacy.vault.principals import Principals
from proventrail.privacy.vault.seal import seal, unseal
from proventrail.privacy.vault.subject import encode_subject_id

SUBJECT = Subject(encode_subject_id(bytes(16)), bytes(32))


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A count of comparisons by `hmac.compare_digest`."""
    count = [0]
    original = hmac.compare_digest

    def counting(a, b):
        count[0] += 1
        return original(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    return count


def test_tags_are_compared_in_one_time(compared: list[int]) -> None:
    token = seal(SUBJECT, "x", event_id="e", path="p")
    assert unseal(token, SUBJECT.key, event_id="e", path="p") == "x"
    with pytest.raises(SealError):
        unseal(token, SUBJECT.key, event_id="e", path="q")
    assert compared == [2]


def test_tokens_are_compared_in_one_time_for_names_that_are_there_or_not(tmp_path: Path, compared: list[int]) -> None:
    principals = Principals(tmp_path / "vault" / "principals.json")
    token = principals.add("anna", ("approver",))
    assert principals.authenticate("anna", token, "approver", "auditor").name == "anna"
    for name, given_token in (("anna", "wrong"), ("bert", token), ("bert", ""), ("anna", "\ud800")):
        with pytest.raises(Refused, match="does not prove"):
            principals.authenticate(name, given_token, "approver")
    assert compared == [5]
    with pytest.raises(Refused, match="needs the role revealer or auditor"):
        principals.authenticate("anna", token, "revealer", "auditor")


@pytest.mark.parametrize("text", ["", "{}x", '[{"name": "a"}]', "[1]"])
def test_a_damaged_file_of_principals_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "principals.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(VaultError, match="no file of principals"):
        Principals(path).all()


def test_a_principal_needs_a_known_role(tmp_path: Path) -> None:
    principals = Principals(tmp_path / "vault" / "principals.json")
    for roles in ((), ("admin",)):
        with pytest.raises(Refused, match="roles"):
            principals.add("anna", roles)
    assert principals.all() == []


def test_nothing_is_added_when_the_audit_event_cannot_be_written(tmp_path: Path) -> None:
    principals = Principals(tmp_path / "vault" / "principals.json")

    def fail(_: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        principals.add("anna", ("approver",), fail)
    assert principals.all() == []


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.floats(0, 30)), max_size=60),
    st.integers(0, 10),
    st.floats(0, 60),
)
def test_the_cache_gives_nothing_that_is_too_old_and_keeps_no_more_than_its_size(steps, size, seconds) -> None:
    cache = SubjectCache(size, seconds)
    now, read_at = 0.0, {}
    for lookup, passed in steps:
        now += passed
        found = cache.get([lookup], now)
        if found:
            assert now - read_at[lookup] < seconds
        else:
            cache.put({lookup: SUBJECT}, now)
            read_at[lookup] = now
        assert len(cache) <= size


def test_the_cache_counts_from_the_reading_and_not_from_the_last_use() -> None:
    cache = SubjectCache(10, 60)
    cache.put({b"a": SUBJECT}, 0)
    for now in range(60):
        assert cache.get([b"a"], now)
    assert not cache.get([b"a"], 60)
    assert len(cache) == 0
