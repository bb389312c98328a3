"""Sealing: whatever is changed, it does not open; what is not changed, opens to the same text."""

from __future__ import annotations

import base64
import hmac
import uuid

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import assume, given
from hypothesis import strategies as st

from proventrail.privacy.vault import SealError, Subject
from proventrail.privacy.vault.seal import seal, seal_bytes, subject_of, subject_of_bytes, unseal, unseal_bytes
from proventrail.privacy.vault.subject import decode_subject_id, encode_subject_id, is_subject_id

KEYS = st.binary(min_size=32, max_size=32)
SUBJECTS = st.builds(lambda raw, key: Subject(encode_subject_id(raw), key), st.binary(min_size=16, max_size=16), KEYS)
# With lone surrogates, which JSON can bring.
TEXTS = st.text(st.characters(), max_size=200)
SUBJECT = Subject(encode_subject_id(bytes(16)), bytes(32))
EVENT = "0190d2c4-7b7e-8f00-8000-000000000001"
PATH = "run.facets.sql.query"


@given(SUBJECTS, TEXTS, TEXTS, TEXTS)
def test_what_is_sealed_opens_to_the_same_text_and_seals_to_the_same_token(subject, text, event_id, path):
    token = seal(subject, text, event_id=event_id, path=path)
    assert token == seal(subject, text, event_id=event_id, path=path)
    assert unseal(token, subject.key, event_id=event_id, path=path) == text
    assert subject_of(token) == subject.subject_id


@given(SUBJECTS, st.binary(max_size=300))
def test_bytes_too(subject, data):
    sealed = seal_bytes(subject, data, event_id=EVENT, path="value")
    assert sealed == seal_bytes(subject, data, event_id=EVENT, path="value")
    assert unseal_bytes(sealed, subject.key, event_id=EVENT, path="value") == data
    assert subject_of_bytes(sealed) == subject.subject_id


@given(SUBJECTS, TEXTS, st.data())
def test_a_token_with_any_other_character_is_refused(subject, text, data):
    token = seal(subject, text, event_id=EVENT, path=PATH)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii"))
    assume(other != token[at])
    with pytest.raises(SealError):
        unseal(token[:at] + other + token[at + 1 :], subject.key, event_id=EVENT, path=PATH)


def test_another_spelling_of_the_same_bytes_is_refused():
    """Base64 leaves bits of the last character unused."""
    for text in ("", "x", "xy"):
        token = seal(SUBJECT, text, event_id=EVENT, path=PATH)
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
            if last != token[-1]:
                with pytest.raises(SealError):
                    unseal(token[:-1] + last, SUBJECT.key, event_id=EVENT, path=PATH)
        with pytest.raises(SealError):
            unseal(token + "=", SUBJECT.key, event_id=EVENT, path=PATH)


@given(SUBJECTS, TEXTS, st.data())
def test_a_cut_or_a_longer_token_is_refused(subject, text, data):
    token = seal(subject, text, event_id=EVENT, path=PATH)
    cut = token[: data.draw(st.integers(0, len(token) - 1))]
    for changed in (cut, token + data.draw(st.text(min_size=1, max_size=4))):
        with pytest.raises(SealError):
            unseal(changed, subject.key, event_id=EVENT, path=PATH)


@given(SUBJECTS, st.binary(max_size=100), st.data())
def test_sealed_bytes_with_any_other_bit_are_refused(subject, plain, data):
    sealed = bytearray(seal_bytes(subject, plain, event_id=EVENT, path=PATH))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(SealError):
        unseal_bytes(bytes(sealed), subject.key, event_id=EVENT, path=PATH)


@given(SUBJECTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_another_event_or_path_is_refused(subject, text, event_id, path, other_event, other_path):
    assume((event_id, path) != (other_event, other_path))
    token = seal(subject, text, event_id=event_id, path=path)
    with pytest.raises(SealError):
        unseal(token, subject.key, event_id=other_event, path=other_path)


def test_event_and_path_cannot_be_shifted_into_each_other():
    subject = Subject(encode_subject_id(bytes(16)), bytes(32))
    token = seal(subject, "c", event_id="a", path="b")
    for event_id, path in (("ab", ""), ("", "ab"), ("b", "a")):
        with pytest.raises(SealError):
            unseal(token, subject.key, event_id=event_id, path=path)


@given(SUBJECTS, TEXTS, KEYS)
def test_another_key_is_refused(subject, text, key):
    assume(key != subject.key)
    token = seal(subject, text, event_id=EVENT, path=PATH)
    with pytest.raises(SealError):
        unseal(token, key, event_id=EVENT, path=PATH)


@given(SUBJECTS, KEYS, st.binary(min_size=1, max_size=64))
def test_a_forger_who_knows_two_keys_cannot_make_one_ciphertext_for_both(subject, other_key, plain):
    """The tag depends on key and plaintext: a body made valid under one key is refused under the other.

    AES-GCM would let the forger solve for such a body; here every choice of it has the wrong tag under one of the two.
    """
    assume(other_key != subject.key)
    sealed = seal_bytes(subject, plain, event_id=EVENT, path=PATH)
    under_other = seal_bytes(Subject(subject.subject_id, other_key), plain, event_id=EVENT, path=PATH)
    head, tag = sealed[:20], slice(20, 52)
    spliced = [sealed, under_other, head + sealed[tag] + under_other[52:], head + under_other[tag] + sealed[52:]]
    for candidate in spliced:
        opened = 0
        for key in (subject.key, other_key):
            try:
                unseal_bytes(candidate, key, event_id=EVENT, path=PATH)
                opened += 1
            except SealError:
                pass
        assert opened <= 1


def test_the_construction_is_the_documented_one():
    """Computed here from its description, so that a change of it shows (stored tokens would not open any more)."""
    subject = Subject(encode_subject_id(bytes(range(16))), bytes(range(32)))
    both = HKDFExpand(SHA256(), 64, b"proventrail seal v1").derive(subject.key)
    parts = (b"text", subject.subject_id.encode(), EVENT.encode(), PATH.encode(), b"jane@example.org")
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    token = seal(subject, "jane@example.org", event_id=EVENT, path=PATH)
    body = base64.urlsafe_b64decode(token.split(".")[2] + "==")
    assert body[:32] == hmac.new(both[:32], message, "sha256").digest()
    assert len(body) == 32 + 16
    assert token == ("ptk1.aaaqeayeaudaocajbifqydiob4.9wBEwNcBQq-GNHJ_nygE3dTg2_fgrt9iT0qhlmbe7-4YTk2yaigHcZylJAe_Vya4")


def test_text_and_bytes_are_not_interchangeable():
    subject = Subject(encode_subject_id(bytes(16)), bytes(32))
    token = seal(subject, "x", event_id=EVENT, path=PATH)
    body = base64.urlsafe_b64decode(token.split(".")[2] + "==")
    with pytest.raises(SealError):
        unseal_bytes(b"ptk1" + bytes(16) + body, subject.key, event_id=EVENT, path=PATH)


@pytest.mark.parametrize("text", ["", "ptk1", "ptk1..", "ptk2.x.y", "ptk1." + "0" * 26, "jane@example.org", "ptk1.é.é"])
def test_what_is_no_token_is_refused(text):
    with pytest.raises(SealError):
        unseal(text, bytes(32), event_id=EVENT, path=PATH)


def test_a_key_of_another_length_is_refused():
    with pytest.raises(SealError, match="32 bytes"):
        seal(Subject(encode_subject_id(bytes(16)), b"short"), "x", event_id=EVENT, path=PATH)


@given(st.binary(min_size=16, max_size=16))
def test_subject_ids(raw):
    text = encode_subject_id(raw)
    assert len(text) == 26
    assert decode_subject_id(text) == raw
    assert is_subject_id(text)
    assert not is_subject_id(text + "\n")
    assert not is_subject_id(text.upper())


def test_subject_ids_that_are_none():
    for text in ("", "z" * 26, "8" + "a" * 25, "A" * 26, "a" * 25 + "b", str(uuid.uuid4()), "a" * 25):
        with pytest.raises(ValueError):
            decode_subject_id(text)


def test_a_key_is_not_shown():
    assert "key" not in repr(Subject(encode_subject_id(bytes(16)), b"k" * 32))
