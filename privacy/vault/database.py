"""Where the vault's rows live: SQLite or PostgreSQL behind the same few methods.

Statements are the ones that both understand, with `?` for parameters. No error text holds a parameter.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from proventrail.privacy.vault.errors import VaultError
from proventrail.privacy.vault.private_files import check_private, private_folder, sync_folder

Row = tuple[Any, ...]
Access = Literal["read", "insert", "change"]
"""`read`; `insert`: add subjects, many at a time; `change`: everything else, alone."""

BUSY_SECONDS = 30

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS vault_keys (name TEXT NOT NULL, generation BIGINT NOT NULL, key_id TEXT NOT NULL, "
    "wrapped {bytes} NOT NULL, PRIMARY KEY (name, generation))",
    "CREATE TABLE IF NOT EXISTS subjects (lookup {bytes} PRIMARY KEY, subject_id TEXT NOT NULL UNIQUE, "
    "kind TEXT NOT NULL, generation BIGINT NOT NULL, wrapped {bytes} NOT NULL)",
    "CREATE INDEX IF NOT EXISTS subjects_generation ON subjects (generation)",
    "CREATE TABLE IF NOT EXISTS tombstones (subject_id TEXT PRIMARY KEY, lookup {bytes}, erased_at TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS tombstones_lookup ON tombstones (lookup)",
    "CREATE TABLE IF NOT EXISTS holds (subject_id TEXT PRIMARY KEY, reason TEXT NOT NULL, principal TEXT NOT NULL, "
    "since TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS erasure_requests (subject_id TEXT PRIMARY KEY, reason TEXT NOT NULL, "
    "principal TEXT NOT NULL, since TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS erasure_approvals (subject_id TEXT NOT NULL, principal TEXT NOT NULL, "
    "since TEXT NOT NULL, PRIMARY KEY (subject_id, principal))",
)


class Session(Protocol):
    """One transaction."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]: ...

    def run(self, sql: str, parameters: Sequence[object] = ()) -> None: ...

    def run_many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None: ...


class Database(Protocol):
    """Opened with its tables made. Methods raise VaultError."""

    @property
    def one_host(self) -> bool:
        """Whether every process that uses it is on this machine, so that one journal knows everything."""
        ...

    def transaction(self, access: Access) -> Any:
        """A context manager for a Session; committed durably when its block ends, undone when that raises."""
        ...

    def scrub(self) -> None:
        """Leave no readable trace of deleted rows in what the database has on disk, as far as it can."""
        ...

    def close(self) -> None: ...


class _SqliteSession:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[object] = ()) -> None:
        self._connection.execute(sql, parameters)

    def run_many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        self._connection.executemany(sql, parameters)


class SqliteDatabase:
    """A file with mode 0600 in a folder with mode 0700; WAL, every commit synced, deleted rows overwritten."""

    one_host = True

    def __init__(self, path: Path) -> None:
        self.path = path
        private_folder(path.parent)
        try:
            # SQLite would make it by the umask; its -wal and -shm take the mode of the file.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise VaultError(f"the vault {path} can't be opened ({error.strerror})") from None
        check_private(path)
        sync_folder(path.parent)
        with self._errors():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
                self._connection.execute(f"PRAGMA {pragma}")
        with self.transaction("change") as session:
            for statement in SCHEMA:
                session.run(statement.format(bytes="BLOB"))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            raise VaultError(f"the vault {self.path} cannot be used: {name}") from None

    @contextmanager
    def transaction(self, access: Access) -> Iterator[Session]:
        with self._errors():
            self._connection.execute("BEGIN" if access == "read" else "BEGIN IMMEDIATE")
            try:
                yield _SqliteSession(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def scrub(self) -> None:
        # Frames of the log hold the row as it was. Readers that are at work hold the log up: wait for them.
        with self._errors():
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise VaultError(
                f"the row is deleted, but {self.path}-wal still holds it: a process reads the vault without end. "
                "Stop it and run `proventrail privacy tombstones apply`"
            )

    def close(self) -> None:
        self._connection.close()
