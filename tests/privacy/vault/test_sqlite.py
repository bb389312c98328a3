"""The vault in SQLite: the contract, and what a file on disk adds."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from proventrail.privacy.vault import FileKeys, Tombstone, Vault, VaultError, database, open_vault, repair_vault
from proventrail.privacy.vault.erasure import add_hold, holds
from proventrail.privacy.vault.reveal import reveal
from proventrail.privacy.vault.rotation import destroy_old_keys, rotate_key
from proventrail.privacy.vault.seal import seal
from tests.privacy.vault.contract import EMAIL, EVENT, MANY, PATH, Place, VaultContract, erase


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(str(tmp_path / "vault" / "vault.db"), tmp_path)
    yield found
    found.close()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copy_database(place: Place, to: Path) -> None:
    """A backup, as SQLite makes one of a database that is in use."""
    with sqlite3.connect(place.url) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()


def restore_database(place: Place, backup: Path) -> None:
    place.close()
    for name in ("vault.db-wal", "vault.db-shm"):
        (place.folder / "vault" / name).unlink(missing_ok=True)
    shutil.copy(backup, place.url)
    Path(place.url).chmod(0o600)


class TestSqlite(VaultContract):
    @pytest.fixture
    def place(self, place: Place) -> Place:
        return place


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_are_for_their_owner_alone(place: Place) -> None:
    vault = place.open()
    [subject] = vault.subjects([EMAIL])
    erase(vault, subject.subject_id)
    for path in (*place.folder.rglob("*"),):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("name", ["vault/vault.db", "vault/journal.jsonl", "keys/kek.json"])
def test_a_file_that_others_may_read_is_refused(place: Place, name: str) -> None:
    place.open()
    place.close()
    (place.folder / name).chmod(0o644)
    with pytest.raises(VaultError, match=r"chmod 600 .*" + name):
        place.open()


def test_a_folder_that_others_may_enter_is_refused(place: Place) -> None:
    (place.folder / "vault").mkdir(mode=0o755)
    with pytest.raises(VaultError, match="chmod 700"):
        place.open()


def test_no_value_and_no_key_in_any_file(place: Place) -> None:
    vault = place.open()
    subjects = vault.subjects([*MANY, EMAIL])
    token = seal(subjects[-1], "jane@example.org", event_id=EVENT, path=PATH)
    reveal(vault, token, "rita", event_id=EVENT, path=PATH)
    erase(vault, subjects[-1].subject_id)
    rotate_key(vault, "anna", renew=place.keys.rotate)
    for name, data in files_of(place.folder / "vault").items():
        assert b"jane" not in data, name
        assert b"person" not in data, name
        assert b"example.org" not in data, name
        assert not any(subject.key in data for subject in subjects), name
        assert vault.keyring.index not in data, name


def test_the_erased_row_is_in_no_file_any_more(place: Place) -> None:
    vault = place.open()
    place.open()
    subjects = vault.subjects([*MANY, EMAIL])
    with vault.transaction("read") as session:
        [(lookup, wrapped)] = session.rows(
            "SELECT lookup, wrapped FROM subjects WHERE subject_id = ?", (subjects[-1].subject_id,)
        )
    assert any(wrapped in data for data in files_of(place.folder).values())
    erase(vault, subjects[-1].subject_id)
    assert not any(wrapped in data for data in files_of(place.folder).values())
    assert any(lookup in data for data in files_of(place.folder).values()), "the tombstone has it"


def test_commits_are_synced(place: Place) -> None:
    vault = place.open()
    connection = vault.database._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_an_erasure_says_when_a_reader_holds_the_old_row_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    vault = place.open()
    [subject] = vault.subjects([EMAIL])
    reader = place.open()
    with reader.transaction("read") as session:
        session.rows("SELECT count(*) FROM subjects")
        with pytest.raises(VaultError, match=r"the row is deleted, but .*-wal still holds it"):
            erase(vault, subject.subject_id)
    assert vault.key_of([subject.subject_id]) == {}
    repair_vault(place.url, place.keys, [], journal=place.journal)
    assert not Path(place.url + "-wal").exists() or not Path(place.url + "-wal").read_bytes()


def test_a_vault_that_another_process_keeps_locked_is_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    vault, other = place.open(), place.open()
    with other.transaction("change"), pytest.raises(VaultError, match="SQLITE_BUSY"):
        vault.subjects([EMAIL])
    assert len(vault.subjects([EMAIL])) == 1


# -- unreachable or damaged --------------------------------------------------------------------------------------------


def test_a_damaged_database_is_an_error(place: Place) -> None:
    place.open().subjects(MANY)
    place.close()
    path = Path(place.url)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(VaultError, match="cannot be used: SQLITE_NOTADB"):
        place.open()


def test_a_damaged_row_is_an_error_without_its_content(place: Place) -> None:
    vault = place.open(cache_size=0)
    vault.subjects([EMAIL])
    with vault.transaction("change") as session:
        session.run("UPDATE subjects SET wrapped = ?", (bytes(60),))
    with pytest.raises(VaultError, match="does not open") as raised:
        vault.subjects([EMAIL])
    assert "jane" not in str(raised.value)


def test_a_closed_vault_is_an_error(place: Place) -> None:
    vault = place.open()
    vault.close()
    with pytest.raises(VaultError, match="cannot be used"):
        vault.subjects([EMAIL])


@pytest.mark.parametrize("url", ["mysql://host/db", "http://host"])
def test_other_urls_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="SQLite"):
        open_vault(url, FileKeys(tmp_path / "k"))


def test_postgres_needs_a_journal(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="journal"):
        open_vault("postgresql://host/db", FileKeys(tmp_path / "k"))


def test_an_unreachable_server_is_an_error_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="cannot be used: OperationalError") as raised:
        open_vault("postgresql://me:secret@127.0.0.1:1/db", FileKeys(tmp_path / "k"), journal=tmp_path / "v" / "j")
    assert "secret" not in str(raised.value)


Restored = tuple[Place, str, list[Tombstone]]


# -- restored backups --------------------------------------------------------------------------------------------------


@pytest.fixture
def restored(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """A vault whose database was restored from before an erasure; who was erased; the tombstones of before."""
    vault = place.open()
    subjects = vault.subjects([EMAIL, *MANY])
    backup = tmp_path_factory.mktemp("backup") / "vault.db"
    copy_database(place, backup)
    erase(vault, subjects[0].subject_id)
    exported = vault.tombstones()
    restore_database(place, backup)
    return place, subjects[0].subject_id, exported


def test_a_restored_backup_does_not_bring_an_erased_subject_back(restored: Restored) -> None:
    place, subject_id, _ = restored
    with pytest.raises(VaultError, match=r"older than its journal, by 1 erasures: run .*tombstones apply"):
        place.open()
    assert repair_vault(place.url, place.keys, [], journal=place.journal) == 1
    vault = place.open()
    assert vault.key_of([subject_id]) == {}
    assert vault.subjects([EMAIL])[0].subject_id != subject_id
    assert repair_vault(place.url, place.keys, [], journal=place.journal) == 0


def test_to_remove_the_journal_does_not_help(restored: Restored) -> None:
    place, subject_id, exported = restored
    place.journal.unlink()
    with pytest.raises(VaultError, match=r"journal .* is gone"):
        place.open()
    # What the pipeline's audit log knows is enough to go on.
    assert repair_vault(place.url, place.keys, exported, journal=place.journal) == 1
    assert place.open().key_of([subject_id]) == {}


def test_nor_does_a_journal_of_before_the_erasure(place: Place, tmp_path: Path) -> None:
    vault = place.open()
    [subject] = vault.subjects([EMAIL])
    before = place.journal.read_bytes()
    erase(vault, subject.subject_id)
    place.close()
    place.journal.write_bytes(before)
    with pytest.raises(VaultError, match="older than its database"):
        place.open()


def test_a_journal_of_another_vault_is_refused(place: Place, tmp_path: Path) -> None:
    place.open()
    other = Place(str(tmp_path / "other" / "vault" / "vault.db"), tmp_path / "other")
    other.open()
    other.close()
    place.close()
    shutil.copy(other.journal, place.journal)
    with pytest.raises(VaultError, match="is gone"):
        place.open()


def test_a_journal_that_was_changed_is_refused(place: Place) -> None:
    vault = place.open()
    [subject] = vault.subjects([EMAIL])
    erase(vault, subject.subject_id)
    text = place.journal.read_text()
    assert text.count("bert") == 1
    place.journal.write_text(text.replace("bert", "carl"))
    with pytest.raises(VaultError, match="chain is broken"):
        place.open()


def test_a_database_that_is_gone_is_not_begun_anew(place: Place) -> None:
    place.open().subjects([EMAIL])
    place.close()
    for path in (place.folder / "vault").glob("vault.db*"):
        path.unlink()
    with pytest.raises(VaultError, match="database is gone"):
        place.open()
    with pytest.raises(VaultError, match="empty"):
        repair_vault(place.url, place.keys, [], journal=place.journal)


def test_a_restored_backup_has_its_legal_holds_again(place: Place, tmp_path: Path) -> None:
    vault = place.open()
    [subject, _] = vault.subjects([EMAIL, MANY[0]])
    copy_database(place, tmp_path / "backup.db")
    add_hold(vault, subject.subject_id, "lena", "CASE-7")
    add_hold(vault, vault.subjects([MANY[0]])[0].subject_id, "lena", "CASE-8")
    before = holds(vault)
    restore_database(place, tmp_path / "backup.db")
    with pytest.raises(VaultError, match="2 legal holds"):
        place.open()
    repair_vault(place.url, place.keys, [], journal=place.journal)
    assert holds(place.open()) == before


def test_a_backup_is_unreadable_once_the_old_key_is_destroyed(place: Place, tmp_path: Path) -> None:
    """Erasure reaches backups of the vault by a rotation."""
    vault = place.open()
    vault.subjects([EMAIL])
    copy_database(place, tmp_path / "backup.db")
    rotate_key(vault, "anna", renew=place.keys.rotate)
    destroy_old_keys(vault, place.keys)
    restore_database(place, tmp_path / "backup.db")
    with pytest.raises(VaultError, match="does not hold the key"):
        place.open()


def test_killed_before_the_journal_was_begun_it_is_begun_later(place: Place) -> None:
    child = place.child("")
    child.communicate(timeout=120)
    vault: Vault = place.open()
    with vault.transaction("change") as session:
        session.run("DELETE FROM meta")
    place.close()
    place.journal.unlink()
    place.open()
    assert place.journal.exists()


def test_a_tombstone_that_the_vault_did_not_make_erases_nothing(place: Place) -> None:
    """Anybody who may emit could write an event that looks like one."""
    vault = place.open()
    [subject] = vault.subjects([EMAIL])
    erase(vault, vault.subjects([("email", "other")])[0].subject_id)
    [stone] = vault.tombstones()
    for forged in (Tombstone(subject.subject_id, stone.erased_at, stone.proof), Tombstone(stone.subject_id, "", "é")):
        with pytest.raises(VaultError, match="not of this vault"):
            repair_vault(place.url, place.keys, [forged], journal=place.journal)
    assert subject.subject_id in place.open().key_of([subject.subject_id])
