"""The vault's rows in PostgreSQL, for processors on several machines. Needs `proventrail[postgres]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from proventrail.privacy.vault.database import BUSY_SECONDS, SCHEMA, Access, Row, Session
from proventrail.privacy.vault.errors import VaultError

_SCHEMA_NAME = "proventrail_vault"
# Any number that no other application of the same database takes for an advisory lock.
_LOCK = 0x70747631
_TABLES = ("subjects", "vault_keys")


class _PostgresSession:
    def __init__(self, cursor: psycopg.Cursor[Row]) -> None:
        self._cursor = cursor

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._cursor.execute(_query(sql), parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[object] = ()) -> None:
        self._cursor.execute(_query(sql), parameters)

    def run_many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        self._cursor.executemany(_query(sql), parameters)


def _query(sql: str) -> str:
    return sql.replace("?", "%s")


class PostgresDatabase:
    """The schema `proventrail_vault` of a PostgreSQL database. Transactions that change rows that exist run alone."""

    one_host = False

    def __init__(self, url: str) -> None:
        with _errors():
            self._connection: psycopg.Connection[Row] = psycopg.connect(
                url, autocommit=True, connect_timeout=10, application_name="proventrail-vault"
            )
            self._connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
            # A commit that the server may still lose would let an event go out under an id that is not kept.
            self._connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
            self._connection.execute(f"SET search_path = {_SCHEMA_NAME}")
        with self.transaction("change") as session:
            session.run(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA_NAME}")
            for statement in SCHEMA:
                session.run(statement.format(bytes="BYTEA"))

    @contextmanager
    def transaction(self, access: Access) -> Iterator[Session]:
        with _errors(), self._connection.transaction(), self._connection.cursor() as cursor:
            if access != "read":
                shared = "_shared" if access == "insert" else ""
                cursor.execute(_query(f"SELECT pg_advisory_xact_lock{shared}({_LOCK})"))
            yield _PostgresSession(cursor)

    def scrub(self) -> None:
        # Takes deleted rows out of the tables. Its log and its backups have lives of their own: docs/privacy-vault.md.
        with _errors():
            for table in _TABLES:
                self._connection.execute(_query(f"VACUUM {table}"))

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        # The text of an error may quote the connection string or a row.
        code = f" {error.sqlstate}" if error.sqlstate else ""
        raise VaultError(f"the vault in PostgreSQL cannot be used: {type(error).__name__}{code}") from None
