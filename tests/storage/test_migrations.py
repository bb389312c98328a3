"""Migrations: applied once, never silently different, the same definition for one server and for a cluster."""

from __future__ import annotations

import dataclasses

import pytest

from proventrail.schemas.columns import arrow_schema
from proventrail.storage import migrations
from proventrail.storage.dialect import Dialect
from proventrail.storage.migrations import MIGRATIONS, MigrationError, migrate, status
from proventrail.storage.store import ClientStore


def test_a_second_call_changes_nothing(store: ClientStore, dialect: Dialect) -> None:
    assert [item.state for item in status(store, dialect)] == ["applied"] * len(MIGRATIONS)
    assert migrate(store, dialect) == []


def test_dry_run_gives_the_statements_and_makes_nothing(store: ClientStore) -> None:
    dialect = Dialect(database="never_made")
    statements = migrate(store, dialect, dry_run=True)
    assert any("CREATE TABLE" in statement and "never_made.events" in statement for statement in statements)
    assert store.rows("SELECT count() FROM system.databases WHERE name = 'never_made'") == [(0,)]
    assert [item.state for item in status(store, dialect)] == ["pending"] * len(MIGRATIONS)


def test_a_migration_that_was_cut_off_is_finished(store: ClientStore, dialect: Dialect) -> None:
    store.command(f"DROP VIEW {dialect.name('runs')}")
    store.command(f"TRUNCATE TABLE {dialect.name('schema_migrations')}")
    migrate(store, dialect)
    assert store.rows(f"SELECT count() FROM {dialect.name('runs')}") == [(0,)]


def test_a_changed_migration_is_refused(store: ClientStore, dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = dataclasses.replace(MIGRATIONS[0], statements=lambda d: ["SELECT 1"])
    monkeypatch.setattr(migrations, "MIGRATIONS", (changed, *MIGRATIONS[1:]))
    with pytest.raises(MigrationError, match=r"migration 1 \(spine\) is not the one that was applied"):
        migrate(store, dialect)


def test_a_store_of_a_newer_version_is_refused(
    store: ClientStore, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", ())
    with pytest.raises(MigrationError, match="use the version that made it"):
        status(store, dialect)


def test_every_refined_field_has_its_column(store: ClientStore, dialect: Dialect) -> None:
    columns = {
        name
        for (name,) in store.rows(
            f"SELECT name FROM system.columns WHERE database = '{dialect.database}' AND table = 'events'"
        )
    }
    expected = set()
    for field in arrow_schema("refined_event"):
        if field.name in ("inputs", "outputs", "column_lineage", "privacy"):
            expected |= {f"{field.name}.{inner.name}" for inner in field.type.value_type}
        else:
            expected.add(field.name)
    assert columns == expected


def test_a_cluster_gets_replicated_tables_behind_distributed_ones() -> None:
    statements = [s for m in MIGRATIONS for s in m.statements(Dialect(cluster="main"))]
    tables = [s for s in statements if s.startswith("CREATE TABLE")]
    assert tables
    assert all("ON CLUSTER 'main'" in statement for statement in statements)
    assert all("ENGINE = Replicated" in s or "ENGINE = Distributed" in s for s in tables)
    # A column is added where the rows are and to what is asked.
    altered = [s.split("\n")[0] for s in statements if s.startswith("ALTER TABLE")]
    assert [s.split()[2] for s in altered] == ["proventrail.events_local", "proventrail.events"]
    views = [s for s in statements if s.startswith("CREATE MATERIALIZED VIEW")]
    assert views
    assert all("_local" in s.split(" AS\n")[0] and "_local" in s.split("FROM")[1] for s in views)


def test_a_store_of_the_version_before_gets_the_columns_it_lacks(
    store: ClientStore, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = dataclasses.replace(dialect, database=f"{dialect.database}_old")
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:1])
        migrate(store, older)
    assert [item.state for item in status(store, older)] == ["applied", *["pending"] * (len(MIGRATIONS) - 1)]
    migrate(store, older)
    same = "SELECT name, type FROM system.columns WHERE table = 'events' AND database = '{}' ORDER BY name"
    assert store.rows(same.format(older.database)) == store.rows(same.format(dialect.database))
    store.command(f"DROP DATABASE {older.database}")
