"""Sealing a value under a subject's key: reversible by whoever has the key, and nothing to anybody else.

The construction is that of SIV (Rogaway and Shrimpton, "Deterministic Authenticated-Encryption", 2006; RFC 5297), with
HMAC-SHA256 in the place of S2V/CMAC and AES-256-CTR for the cipher:

    k_mac, k_enc = HKDF-Expand-SHA256(key, "proventrail seal v1", 64)      RFC 5869, section 3.3: the key is uniform
    tag          = HMAC-SHA256(k_mac, encode(form, subject id, event id, path, plaintext))
    ciphertext   = AES-256-CTR(k_enc, first 16 bytes of tag, plaintext)

*Deterministic*: a replayed batch gives the same bytes; all that equal tokens tell is that one place holds one value.
*Bound*: subject, event and field path are in the MAC (every part with its length before it), so a token that is moved
does not open. *Key-committing*: the tag is stored whole. To open one ciphertext under two keys is to find two inputs of
HMAC-SHA256 with one 256-bit output (about 2^128 work). SIV with CMAC and plain AES-GCM have no such property (Menda,
Len, Grubbs and Ristenpart, "Context Discovery and Commitment Attacks", 2023), which is why neither is used.

A token tells the length of its plaintext in bytes; it is not padded.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from proventrail.privacy.vault.errors import SealError
from proventrail.privacy.vault.subject import Subject, decode_subject_id, encode_subject_id, is_subject_id

PREFIX = "ptk1"
_TAG = 32
_IV = 16
_HEAD = len(PREFIX) + 16
_REFUSED = "the sealed value does not open: it was altered, moved to another event or field, or has another key"


def _keys(key: bytes) -> tuple[bytes, bytes]:
    if len(key) != 32:
        raise SealError(f"a subject's key has 32 bytes, this one {len(key)}")
    both = HKDFExpand(SHA256(), 64, b"proventrail seal v1").derive(key)
    return both[:32], both[32:]


def _tag(key: bytes, form: bytes, subject_id: str, event_id: str, path: str, plaintext: bytes) -> bytes:
    parts = (form, subject_id.encode(), _bytes(event_id), _bytes(path), plaintext)
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts), "sha256")


def _bytes(text: str) -> bytes:
    # JSON may bring lone surrogates, and they come back as they were.
    return text.encode("utf-8", "surrogatepass")


def _crypt(key: bytes, tag: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES256(key), modes.CTR(tag[:_IV])).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def _seal(subject: Subject, form: bytes, plaintext: bytes, event_id: str, path: str) -> bytes:
    k_mac, k_enc = _keys(subject.key)
    tag = _tag(k_mac, form, subject.subject_id, event_id, path, plaintext)
    return tag + _crypt(k_enc, tag, plaintext)


def _unseal(body: bytes, key: bytes, form: bytes, subject_id: str, event_id: str, path: str) -> bytes:
    k_mac, k_enc = _keys(key)
    tag, ciphertext = body[:_TAG], body[_TAG:]
    plaintext = _crypt(k_enc, tag.ljust(_IV, b"\0"), ciphertext)
    if not hmac.compare_digest(tag, _tag(k_mac, form, subject_id, event_id, path, plaintext)):
        raise SealError(_REFUSED)
    return plaintext


def seal(subject: Subject, plaintext: str, *, event_id: str, path: str) -> str:
    """`plaintext` as `ptk1.SUBJECT_ID.BASE64URL`, bound to the event and the field path."""
    body = _seal(subject, b"text", _bytes(plaintext), event_id, path)
    return f"{PREFIX}.{subject.subject_id}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}"


def _parse(token: str) -> tuple[str, bytes]:
    prefix, _, rest = token.partition(".")
    subject_id, _, text = rest.partition(".")
    if prefix != PREFIX or not is_subject_id(subject_id):
        raise SealError(f"not a sealed value: it must read {PREFIX}.SUBJECT_ID.BASE64URL")
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SealError(_REFUSED) from None
    # Base64 has spellings of one value that differ in unused bits: only ours is taken.
    if base64.urlsafe_b64encode(body).decode().rstrip("=") != text:
        raise SealError(_REFUSED)
    return subject_id, body


def unseal(token: str, key: bytes, *, event_id: str, path: str) -> str:
    """The text that was sealed. Raises SealError if token, key, event id or path is any other than at sealing."""
    subject_id, body = _parse(token)
    return _unseal(body, key, b"text", subject_id, event_id, path).decode("utf-8", "surrogatepass")


def subject_of(token: str) -> str:
    """The subject id in a token of `seal`. Raises SealError if it is none."""
    return _parse(token)[0]


def seal_bytes(subject: Subject, plaintext: bytes, *, event_id: str, path: str) -> bytes:
    """As `seal`, for bytes: `ptk1`, 16 bytes of subject id, tag, ciphertext."""
    body = _seal(subject, b"bytes", plaintext, event_id, path)
    return PREFIX.encode() + decode_subject_id(subject.subject_id) + body


def unseal_bytes(sealed: bytes, key: bytes, *, event_id: str, path: str) -> bytes:
    """As `unseal`, for what `seal_bytes` gave. Raises SealError."""
    subject_id = subject_of_bytes(sealed)
    return _unseal(sealed[_HEAD:], key, b"bytes", subject_id, event_id, path)


def subject_of_bytes(sealed: bytes) -> str:
    """The subject id in what `seal_bytes` gave. Raises SealError if it is none."""
    if not sealed.startswith(PREFIX.encode()) or len(sealed) < _HEAD + _TAG:
        raise SealError("not sealed bytes: they begin with ptk1, a subject id and a tag")
    return encode_subject_id(sealed[len(PREFIX) : _HEAD])
