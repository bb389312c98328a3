"""The key-encryption key: from a file, the environment, or a key management service.

It wraps the few keys of the vault (the index key, and the data key under which the subjects' keys are stored), never a
subject's key itself: a provider is asked when a vault is opened and when its key is rotated, and not once per event.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import secrets
from collections.abc import Collection, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proventrail.privacy.vault.errors import VaultError
from proventrail.privacy.vault.private_files import private_folder, read_private, write_private

KEY_BYTES = 32
KMS_GROUP = "proventrail.kms"
_NONCE = 12


@runtime_checkable
class KeyProvider(Protocol):
    """Wraps and unwraps keys of 32 bytes. `context` must be the same at both, as AWS KMS's encryption context is.

    All methods raise VaultError where the key is missing, wrong or out of reach.
    """

    @property
    def key_id(self) -> str:
        """Name of the key that `wrap` uses now; changes when the key is rotated."""
        ...

    def wrap(self, key: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes: ...


def encrypt_key(under: bytes, key: bytes, context: bytes) -> bytes:
    """AES-256-GCM with a random nonce before it (NIST SP 800-38D: up to 2^32 keys under one)."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(under).encrypt(nonce, key, context)


def decrypt_key(under: bytes, wrapped: bytes, context: bytes) -> bytes:
    """What `encrypt_key` wrapped. Raises VaultError if it is damaged, of another place, or under another key."""
    try:
        return AESGCM(under).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
    except (InvalidTag, ValueError):
        raise VaultError("a wrapped key of the vault does not open: it is damaged, or the key is another") from None


def _id_of(key: bytes) -> str:
    return hmac.digest(key, b"proventrail key id", "sha256")[:8].hex()


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise VaultError(f"{where} must hold a key of {KEY_BYTES} bytes in Base64: `openssl rand -base64 32` makes one")
    return key


class FileKeys:
    """The key in a file with mode 0600 that is made on first use: JSON, current key id and keys in Base64 by id.

    A vault that exists never has a new key made for it: `unwrap` without the file is an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def _load(self) -> tuple[str, dict[str, bytes]] | None:
        text = read_private(self.path)
        if text is None:
            return None
        try:
            found = json.loads(text)
            keys = {key_id: _decoded(key, f"{self.path}") for key_id, key in found["keys"].items()}
            current = found["current"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise VaultError(f"{self.path} is no key file: restore it from your backup of the key") from None
        if current not in keys:
            raise VaultError(f"{self.path} has no key {current}: restore it from your backup of the key")
        return current, keys

    def _save(self, current: str, keys: Mapping[str, bytes], *, replace: bool) -> None:
        private_folder(self.path.parent)
        encoded = {key_id: base64.b64encode(key).decode() for key_id, key in keys.items()}
        write_private(self.path, json.dumps({"current": current, "keys": encoded}, indent=1) + "\n", replace=replace)

    def _current(self) -> tuple[str, bytes]:
        found = self._load()
        if found is None:
            key = secrets.token_bytes(KEY_BYTES)
            # Of two processes that start at once, one makes the file and both use it.
            self._save(_id_of(key), {_id_of(key): key}, replace=False)
            found = self._load()
        if found is None:
            raise VaultError(f"{self.path} was removed just now")
        return found[0], found[1][found[0]]

    @property
    def key_id(self) -> str:
        return self._current()[0]

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return encrypt_key(self._current()[1], key, context)

    def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        found = self._load()
        if found is None:
            raise VaultError(f"the key file {self.path} is missing: restore it from your backup of the key")
        if key_id not in found[1]:
            raise VaultError(f"{self.path} does not hold the key {key_id}, under which the vault is wrapped")
        return decrypt_key(found[1][key_id], wrapped, context)

    def rotate(self) -> str:
        """Add a new key and make it the current one; older ones stay until `destroy_all_but`. Gives its id.

        To be called in a transaction of the vault: of two at once, one would overwrite the other's key.
        """
        found = self._load()
        keys = dict(found[1]) if found else {}
        key = secrets.token_bytes(KEY_BYTES)
        keys[_id_of(key)] = key
        self._save(_id_of(key), keys, replace=True)
        return _id_of(key)

    def destroy_all_but(self, used: Collection[str]) -> list[str]:
        """Remove all keys but the current one and `used`; what only they open is unreadable from then on. Gives their
        ids."""
        current, keys = self._load() or ("", {})
        kept = {key_id: key for key_id, key in keys.items() if key_id == current or key_id in used}
        if len(kept) < len(keys):
            self._save(current, kept, replace=True)
        return sorted(keys.keys() - kept.keys())


class EnvKeys:
    """The key in an environment variable, in Base64. Keys of before, comma-separated, in the same with `_OLD`."""

    def __init__(self, name: str, environment: Mapping[str, str] = os.environ) -> None:
        self._name = name
        self._environment = environment

    def _key(self) -> bytes:
        text = self._environment.get(self._name, "")
        if not text:
            raise VaultError(f"the environment variable {self._name} is not set: it must hold the vault's key")
        return _decoded(text, self._name)

    @property
    def key_id(self) -> str:
        return _id_of(self._key())

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return encrypt_key(self._key(), key, context)

    def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        old = f"{self._name}_OLD"
        texts = [text for text in self._environment.get(old, "").split(",") if text.strip()]
        for key in (self._key(), *(_decoded(text, old) for text in texts)):
            if hmac.compare_digest(_id_of(key), key_id):
                return decrypt_key(key, wrapped, context)
        raise VaultError(f"neither {self._name} nor {old} holds the key {key_id}, under which the vault is wrapped")


def _load_kms(name: str) -> KeyProvider:
    found = list(entry_points(group=KMS_GROUP, name=name))
    try:
        if found:
            provider = found[0].load()()
        else:
            module, _, attribute = name.partition(":")
            provider = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        raise VaultError(
            f"no key service {name!r}: name an entry point of the group {KMS_GROUP}, or MODULE:ATTRIBUTE, "
            f"whose call gives a KeyProvider ({type(error).__name__})"
        ) from None
    if not isinstance(provider, KeyProvider):
        raise VaultError(f"{name!r} gives no KeyProvider: it needs key_id, wrap and unwrap")
    return provider


def key_provider(spec: str) -> KeyProvider:
    """`file:PATH`, `env:NAME`, or `kms:NAME` (an entry point of `proventrail.kms`, or MODULE:ATTRIBUTE; called without
    arguments). Raises VaultError."""
    kind, _, rest = spec.partition(":")
    if kind == "file" and rest:
        return FileKeys(Path(rest))
    if kind == "env" and rest:
        return EnvKeys(rest)
    if kind == "kms" and rest:
        return _load_kms(rest)
    raise VaultError("the key must be given as file:PATH, env:NAME or kms:NAME")
