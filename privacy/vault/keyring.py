"""The vault's own keys, as they stand in `vault_keys`: wrapped by the key provider, unwrapped once per process.

`index`: of the HMAC that finds a value's row. It never changes: the rows hold HMACs and not the values, so under
another index key no value would find its subject any more. A rotation wraps it anew, which takes it from whoever has
the old key-encryption key alone. `data`: wraps the subjects' keys; one per generation, a rotation begins the next.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from proventrail.privacy.vault.database import Row, Session
from proventrail.privacy.vault.errors import VaultError
from proventrail.privacy.vault.keys import KEY_BYTES, KeyProvider, decrypt_key, encrypt_key
from proventrail.privacy.vault.subject import Subject

INDEX = "index"
DATA = "data"


def _context(name: str, generation: int) -> bytes:
    return f"proventrail vault {name} {generation}".encode()


def _row_context(lookup: bytes, subject_id: str, kind: str) -> bytes:
    """Binds a subject's wrapped key to the rest of its row: rows whose parts were exchanged do not open."""
    return lookup + subject_id.encode() + kind.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Keyring:
    """Keys in clear, in memory only. `data` is by generation; new rows take the highest."""

    index: bytes = field(repr=False)
    data: dict[int, bytes] = field(repr=False)
    key_id: str

    def tombstone_proof(self, subject_id: str, erased_at: str) -> str:
        """Hex of an HMAC by which the vault knows a tombstone again that comes back from outside.

        Anybody who may emit can write an event that looks like an erasure; only the vault can prove one.
        """
        key = HKDFExpand(SHA256(), KEY_BYTES, b"proventrail tombstone v1").derive(self.index)
        return hmac.digest(key, f"{subject_id} {erased_at}".encode(), "sha256").hex()

    @property
    def generation(self) -> int:
        return max(self.data)

    def wrap_subject(self, subject: Subject, lookup: bytes, kind: str) -> bytes:
        context = _row_context(lookup, subject.subject_id, kind)
        return encrypt_key(self.data[self.generation], subject.key, context)

    def unwrap_subject(self, row: Row) -> Subject:
        """A row `lookup, subject_id, kind, generation, wrapped` as a subject. Raises VaultError if it is damaged."""
        lookup, subject_id, kind, generation, wrapped = row
        if generation not in self.data:
            raise VaultError(f"the vault has no data key {generation} for a row of it: it is damaged")
        key = decrypt_key(self.data[generation], bytes(wrapped), _row_context(bytes(lookup), subject_id, kind))
        return Subject(subject_id, key)


def load(session: Session, provider: KeyProvider) -> Keyring | None:
    """The keys of the vault; None if it has none yet. Raises VaultError."""
    found = session.rows("SELECT name, generation, key_id, wrapped FROM vault_keys ORDER BY name, generation")
    if not found:
        return None
    keys = {
        (name, generation): provider.unwrap(bytes(wrapped), _context(name, generation), key_id)
        for name, generation, key_id, wrapped in found
    }
    data = {generation: key for (name, generation), key in keys.items() if name == DATA}
    if (INDEX, 0) not in keys or not data:
        raise VaultError("the vault has lost its index key or data key: restore it from a backup")
    return Keyring(keys[INDEX, 0], data, next(key_id for name, _, key_id, _ in found if name == INDEX))


def create(session: Session, provider: KeyProvider) -> Keyring:
    """Make and store the keys of a new vault."""
    for name, generation in ((INDEX, 0), (DATA, 1)):
        _insert(session, provider, name, generation, secrets.token_bytes(KEY_BYTES))
    made = load(session, provider)
    assert made is not None
    return made


def begin_generation(session: Session, provider: KeyProvider, keyring: Keyring) -> None:
    """A new data key, and the index key as it was, under the provider's key of now."""
    session.run("DELETE FROM vault_keys WHERE name = ?", (INDEX,))
    _insert(session, provider, INDEX, 0, keyring.index)
    _insert(session, provider, DATA, keyring.generation + 1, secrets.token_bytes(KEY_BYTES))


def _insert(session: Session, provider: KeyProvider, name: str, generation: int, key: bytes) -> None:
    wrapped = provider.wrap(key, _context(name, generation))
    row = (name, generation, provider.key_id, wrapped)
    session.run("INSERT INTO vault_keys (name, generation, key_id, wrapped) VALUES (?, ?, ?, ?)", row)


def generations(session: Session) -> list[int]:
    rows = session.rows("SELECT generation FROM vault_keys WHERE name = ? ORDER BY generation", (DATA,))
    return [int(row[0]) for row in rows]


def drop_generations(session: Session, old: Iterable[int]) -> None:
    for generation in old:
        session.run("DELETE FROM vault_keys WHERE name = ? AND generation = ?", (DATA, generation))
