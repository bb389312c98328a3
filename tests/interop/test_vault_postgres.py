"""The vault's contract on a real PostgreSQL server, which the test starts as a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from proventrail.cli.app import cli
from proventrail.privacy.vault import FileKeys, Vault, VaultError, open_vault, repair_vault
from tests.privacy.vault.contract import EMAIL, MANY, Place, VaultContract, erase

pytestmark = pytest.mark.interop


def _binaries() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders or not (folders[-1] / "initdb").exists():
        pytest.skip("needs PostgreSQL's initdb and postgres (Debian: postgresql)")
    return folders[-1]


def _account() -> str | None:
    """The server refuses to run as root: the account that Debian's package makes, else `nobody`."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a server without a database name."""
    binaries, account = _binaries(), _account()
    folder = Path(tempfile.mkdtemp(prefix="proventrail-postgres-"))
    if account:
        shutil.chown(folder, account)
    command = [binaries / "initdb", "-D", folder / "data", "-U", "tester", "--auth=trust", "--no-sync"]
    subprocess.run(command, user=account, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    port = _free_port()
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c synchronous_commit=off"
    control = [binaries / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-t", "120", "-w"]
    subprocess.run([*control, "-o", options, "start"], user=account, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    yield f"postgresql://tester@127.0.0.1:{port}"
    subprocess.run([*control, "-m", "immediate", "stop"], user=account, cwd=folder, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)


@pytest.fixture
def url(server: str) -> str:
    name = f"v{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.fixture
def place(url: str, tmp_path: Path) -> Iterator[Place]:
    found = Place(url, tmp_path)
    yield found
    found.close()


class TestPostgres(VaultContract):
    @pytest.fixture
    def place(self, place: Place) -> Place:
        return place


def test_a_commit_is_not_the_servers_to_lose(place: Place) -> None:
    assert place.open().database._connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_server_that_went_away_is_an_error(place: Place, url: str) -> None:
    vault = place.open()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'proventrail-vault' AND datname = current_database()"
        )
    with pytest.raises(VaultError, match="PostgreSQL cannot be used"):
        vault.subjects([EMAIL])


def test_each_machine_is_a_witness_of_an_erasure(place: Place, url: str, tmp_path: Path) -> None:
    """A machine that opened the vault after an erasure elsewhere refuses a database of before it."""
    vault = place.open()
    [subject] = vault.subjects([EMAIL])
    rows = _dump(vault)
    erase(vault, subject.subject_id)
    other = tmp_path / "other" / "journal.jsonl"
    open_vault(url, place.keys, journal=other).close()
    with vault.transaction("change") as session:
        session.run("DELETE FROM tombstones")
        session.run_many("INSERT INTO subjects VALUES (?, ?, ?, ?, ?)", rows)
    for journal in (other, place.journal):
        with pytest.raises(VaultError, match="1 erasures"):
            open_vault(url, place.keys, journal=journal)
    assert repair_vault(url, place.keys, [], journal=other) == 1
    assert place.open().key_of([subject.subject_id]) == {}


def _dump(vault: Vault) -> list[tuple[object, ...]]:
    with vault.transaction("read") as session:
        return session.rows("SELECT lookup, subject_id, kind, generation, wrapped FROM subjects")


def test_the_command_line_takes_the_url(place: Place, url: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    options = ["--data-dir", str(data_dir), "--vault", url]
    added = CliRunner().invoke(cli, ["privacy", "principals", "add", "anna", "--role", "approver", *options])
    assert added.exit_code == 0, added.output
    keys = FileKeys(data_dir / "keys" / "kek.json")
    with open_vault(url, keys, journal=data_dir / "vault" / "journal.jsonl") as vault:
        [subject] = vault.subjects([EMAIL])
    asked = CliRunner().invoke(
        cli,
        ["privacy", "erase", "--subject", subject.subject_id, "--reason", "x", "--approve", "--as", "anna", *options],
        env={"PROVENTRAIL_PRINCIPAL_TOKEN": added.stdout.strip()},
    )
    assert "1 of 2 approvals" in asked.stdout
    assert not (data_dir / "vault" / "vault.db").exists()


def test_no_value_and_no_key_in_the_database(place: Place, url: str) -> None:
    vault = place.open()
    subjects = vault.subjects([*MANY, EMAIL])
    with psycopg.connect(url) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'proventrail_vault'"
            ).fetchall()
        ]
        assert len(tables) == 7
        for table in tables:
            for row in connection.execute(f"SELECT * FROM proventrail_vault.{table}").fetchall():
                data = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
                assert b"example.org" not in data
                assert not any(subject.key in data for subject in subjects)
                assert vault.keyring.index not in data
