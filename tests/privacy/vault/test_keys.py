"""Where the key-encryption key comes from."""

from __future__ import annotations

import base64
import stat
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.privacy.vault import EnvKeys, FileKeys, KeyProvider, VaultError, key_provider, open_vault
from proventrail.privacy.vault.keys import decrypt_key, encrypt_key

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def text_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


class FakeService:
    """A key service, as far as the vault sees one."""

    def __init__(self) -> None:
        self.calls = 0

    @property
    def key_id(self) -> str:
        return "arn:key/1"

    def wrap(self, key: bytes, context: bytes) -> bytes:
        self.calls += 1
        return encrypt_key(KEY, key, context)

    def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        self.calls += 1
        return decrypt_key(KEY, wrapped, context)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=50))
def test_a_wrapped_key_opens_in_its_context_under_its_key(key: bytes, context: bytes) -> None:
    wrapped = encrypt_key(KEY, key, context)
    assert decrypt_key(KEY, wrapped, context) == key
    for args in (
        (OTHER, wrapped, context),
        (KEY, wrapped, context + b"x"),
        (KEY, wrapped[:-1], context),
        (KEY, b"", context),
    ):
        with pytest.raises(VaultError, match="does not open"):
            decrypt_key(*args)


def test_a_key_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "kek.json"
    keys = FileKeys(path)
    wrapped = keys.wrap(OTHER, b"c")
    assert FileKeys(path).unwrap(wrapped, b"c", FileKeys(path).key_id) == OTHER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    keys = FileKeys(tmp_path / "keys" / "kek.json")
    wrapped = keys.wrap(OTHER, b"c")
    key_id = keys.key_id
    keys.path.chmod(mode)
    for use in (lambda: keys.key_id, lambda: keys.wrap(OTHER, b"c"), lambda: keys.unwrap(wrapped, b"c", key_id)):
        with pytest.raises(VaultError, match="chmod 600"):
            use()


def test_a_key_file_by_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys" / "kek.json")
    assert keys.key_id
    link = tmp_path / "link"
    link.symlink_to(keys.path)
    with pytest.raises(VaultError, match="plain file"):
        FileKeys(link).wrap(OTHER, b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        '{"current": "a", "keys": {}}',
        '{"current": "a", "keys": {"a": "c2hvcnQ="}}',
        '{"current": "a", "keys": {"a": 1}}',
        '{"current": "a", "keys": []}',
    ],
)
def test_a_damaged_key_file_is_an_error_and_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kek.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(VaultError):
        FileKeys(path).wrap(OTHER, b"")
    assert path.read_text() == text


def test_rotation_keeps_old_keys_until_they_are_destroyed(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys" / "kek.json")
    first = keys.key_id
    wrapped = keys.wrap(OTHER, b"c")
    second = keys.rotate()
    assert keys.key_id == second != first
    assert keys.unwrap(wrapped, b"c", first) == OTHER
    assert keys.destroy_all_but([first]) == []
    assert keys.destroy_all_but([]) == [first]
    assert keys.destroy_all_but([]) == []
    with pytest.raises(VaultError, match=f"does not hold the key {first}"):
        keys.unwrap(wrapped, b"c", first)


def test_environment() -> None:
    old, new = {"K": text_of(KEY)}, {"K": text_of(OTHER), "K_OLD": text_of(KEY)}
    wrapped = EnvKeys("K", old).wrap(b"x" * 32, b"c")
    first = EnvKeys("K", old).key_id
    assert EnvKeys("K", new).unwrap(wrapped, b"c", first) == b"x" * 32
    with pytest.raises(VaultError, match="neither K nor K_OLD"):
        EnvKeys("K", {"K": text_of(OTHER)}).unwrap(wrapped, b"c", first)
    with pytest.raises(VaultError, match="K is not set"):
        EnvKeys("K", {}).wrap(KEY, b"")
    for wrong in ("short", text_of(KEY)[:-4], "é" * 44):
        with pytest.raises(VaultError, match="32 bytes in Base64") as raised:
            EnvKeys("K", {"K": wrong}).wrap(KEY, b"")
        assert wrong not in str(raised.value)


def test_a_key_service_is_asked_at_the_opening_and_not_per_subject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("my_kms")
    module.Service = FakeService  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_kms", module)
    service = key_provider("kms:my_kms:Service")
    assert isinstance(service, FakeService)
    assert isinstance(service, KeyProvider)
    with open_vault(tmp_path / "vault" / "vault.db", service) as vault:
        opened = service.calls
        vault.subjects([("email", str(number)) for number in range(100)])
        assert service.calls == opened
    assert opened <= 4


@pytest.mark.parametrize("spec", ["", "kek.json", "file:", "env:", "kms:", "vault:x"])
def test_other_specifications_are_refused(spec: str) -> None:
    with pytest.raises(VaultError, match="file:PATH"):
        key_provider(spec)


@pytest.mark.parametrize("name", ["no_such_module:x", "json:no_such", "nothing", "json:JSONDecoder"])
def test_a_key_service_that_is_none(name: str) -> None:
    with pytest.raises(VaultError, match="KeyProvider"):
        key_provider(f"kms:{name}")
