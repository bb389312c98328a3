"""Numbered migrations of the store: each is a function from a dialect to statements, applied once, never changed.

`schema_migrations` keeps what was applied with a checksum of the statements. A migration whose text changed after it
was applied is refused: what runs on a user's disk must be what the code says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from proventrail.storage.dialect import Dialect
from proventrail.storage.migrations.m0001_spine import spine
from proventrail.storage.migrations.m0002_privacy import privacy
from proventrail.storage.store import Store


class MigrationError(Exception):
    """A migration was changed after it was applied, or the store is newer than this code."""


@dataclass(frozen=True)
class Migration:
    """One numbered step. `statements` must depend on the dialect alone."""

    number: int
    name: str
    statements: Callable[[Dialect], list[str]]

    def checksum(self, dialect: Dialect) -> str:
        return hashlib.sha256("\0".join(self.statements(dialect)).encode()).hexdigest()


@dataclass(frozen=True)
class MigrationStatus:
    """A migration and where it stands in one store."""

    number: int
    name: str
    state: Literal["applied", "pending"]


MIGRATIONS: tuple[Migration, ...] = (Migration(1, "spine", spine), Migration(2, "privacy", privacy))


def _create_ledger(dialect: Dialect) -> list[str]:
    columns = "number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')"
    return [dialect.create_database(), *dialect.create_table("schema_migrations", columns, "number", sharding_key="1")]


def _ledger(store: Store, dialect: Dialect) -> dict[int, str]:
    exists = store.rows(
        f"SELECT count() FROM system.tables WHERE database = '{dialect.database}' AND name = 'schema_migrations'"
    )
    if not exists[0][0]:
        return {}
    found = store.rows(f"SELECT number, checksum FROM {dialect.name('schema_migrations')} ORDER BY number")
    return {int(str(number)): str(checksum) for number, checksum in found}


def _check(applied: dict[int, str], dialect: Dialect) -> None:
    known = {migration.number: migration for migration in MIGRATIONS}
    for number, checksum in applied.items():
        if number not in known:
            raise MigrationError(
                f"the store has migration {number}, which this version does not know: use the version that made it"
            )
        if known[number].checksum(dialect) != checksum:
            raise MigrationError(
                f"migration {number} ({known[number].name}) is not the one that was applied to this store "
                "(its checksum changed): restore the original migration and add a new one for the change"
            )


def status(store: Store, dialect: Dialect) -> list[MigrationStatus]:
    """Every migration with its state in `store`. Raises MigrationError as `migrate` does."""
    applied = _ledger(store, dialect)
    _check(applied, dialect)
    return [MigrationStatus(m.number, m.name, "applied" if m.number in applied else "pending") for m in MIGRATIONS]


def migrate(store: Store, dialect: Dialect, *, dry_run: bool = False) -> list[str]:
    """Apply what is pending; give back the statements. With `dry_run` nothing is changed.

    Statements are `IF NOT EXISTS`, so a migration that was cut off half-way is finished by the next call.
    """
    applied = _ledger(store, dialect)
    _check(applied, dialect)
    pending = [migration for migration in MIGRATIONS if migration.number not in applied]
    if not pending:
        return []
    statements = [] if applied else _create_ledger(dialect)
    for migration in pending:
        statements += migration.statements(dialect)
        statements.append(
            f"INSERT INTO {dialect.name('schema_migrations')} (number, name, checksum) "
            f"VALUES ({migration.number}, '{migration.name}', '{migration.checksum(dialect)}')"
        )
    if not dry_run:
        for statement in statements:
            store.command(statement)
    return statements
