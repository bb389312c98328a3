"""ClickHouse's configuration, read by ClickHouse: the engine merges the files as a server does and enforces the grants.

Not seen here: the network, passwords at login, and the image's own config.xml.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proventrail.storage.dialect import Dialect
from proventrail.storage.migrations import MIGRATIONS
from proventrail.storage.store import ClientStore

Asked = list[tuple[str, int | None]]
Engine = Callable[..., Asked]

REFUSALS = {497: "ACCESS_DENIED", 164: "READONLY", 452: "SETTING_CONSTRAINT_VIOLATION"}
_TIERS = "/var/lib/clickhouse-tiers"

_BASE = """<clickhouse><logger><level>none</level></logger>
<user_directories><users_xml><path>{folder}/users.xml</path></users_xml></user_directories></clickhouse>"""
_BASE_USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas>
<users><default><password>x</password><networks><ip>::/0</ip></networks><profile>default</profile></default></users>
</clickhouse>"""
# chDB has one user, `default`: it gets what the user that is tried has.
_STAND_IN = """<clickhouse><users><default><password></password><networks><ip>::/0</ip></networks>
<profile>{profile}</profile><quota>default</quota>{grants}</default></users></clickhouse>"""


@pytest.fixture(scope="module")
def users(repo_dir: Path) -> ET.Element:
    return ET.parse(repo_dir / "deploy/clickhouse/users.d/proventrail.xml").getroot()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, repo_dir: Path) -> Path:
    """The configuration of a server: the base files of this test, ours beside them as in the image."""
    folder = tmp_path_factory.mktemp("clickhouse")
    (folder / "config.xml").write_text(_BASE.format(folder=folder))
    (folder / "users.xml").write_text(_BASE_USERS)
    for part in ("config.d", "users.d"):
        (folder / part).mkdir()
        text = (repo_dir / "deploy/clickhouse" / part / "proventrail.xml").read_text()
        (folder / part / "proventrail.xml").write_text(text.replace(_TIERS, str(folder / "tiers")))
    return folder


def start(
    folder: Path, repo_dir: Path, what: str, digest: str, statements: list[str]
) -> subprocess.CompletedProcess[str]:
    hashes = {f"CLICKHOUSE_{name}_PASSWORD_SHA256": digest for name in ("INGEST", "MIGRATE", "AUDITOR")}
    return subprocess.run(
        [sys.executable, "-m", "tests.deploy.as_user", str(folder), what],
        input=json.dumps(statements),
        capture_output=True,
        text=True,
        timeout=240,
        cwd=repo_dir,
        env={**os.environ, **hashes},
        check=False,
    )


@pytest.fixture(scope="module")
def as_user(folder: Path, users: ET.Element, repo_dir: Path) -> Engine:
    """Do something in the store with the grants and the profile of a user; gives what was asked."""

    def run(user: str, what: str, statements: list[str] | None = None) -> Asked:
        element = users.find(f"users/{user}")
        assert element is not None
        grants = ET.tostring(element.find("grants"), encoding="unicode")  # type: ignore[arg-type]
        stand_in = _STAND_IN.format(profile=element.findtext("profile"), grants=grants)
        (folder / "users.d" / "stand-in.xml").write_text(stand_in)
        done = start(folder, repo_dir, what, hashlib.sha256(b"secret").hexdigest(), statements or [])
        assert done.returncode == 0, done.stderr
        return [(sql, code) for sql, code in json.loads(done.stdout)]

    return run


@pytest.fixture(scope="module")
def migrated(as_user: Engine) -> Asked:
    return as_user("migrate", "migrate")


@pytest.fixture(scope="module")
def sunk(as_user: Engine, migrated: Asked) -> Asked:
    return as_user("ingest", "sink")


def refused(asked: Asked) -> Asked:
    return [(sql, code) for sql, code in asked if code is not None]


def test_the_user_migrate_can_make_the_tables(migrated: Asked) -> None:
    assert refused(migrated) == []
    assert sum("CREATE TABLE" in sql for sql, _ in migrated) > 10


def test_the_user_ingest_can_do_all_that_the_sink_does(sunk: Asked, users: ET.Element) -> None:
    assert refused(sunk) == []
    wanted = set()
    for sql, _ in sunk:
        wanted |= {("INSERT", table) for table in re.findall(r"INSERT INTO (proventrail\.\w+)", sql)}
        wanted |= {("SELECT", table) for table in re.findall(r"FROM (proventrail\.\w+)", sql)}
    # Views of views: those of the other tables read `events`.
    wanted.add(("SELECT", "proventrail.lineage_edge_states"))
    granted = {
        match.groups()
        for query in users.findall("users/ingest/grants/query")
        if (match := re.fullmatch(r"GRANT (\w+) ON (proventrail\.\w+)", query.text or ""))
    }
    assert granted == wanted, "a grant that nothing needs, or a statement that this test does not reach"


def test_views_fill_tables_that_the_sink_may_not_write(sunk: Asked, as_user: Engine) -> None:
    tables = ["job_edges", "job_edges_by_target", "lineage_edge_states_by_target", "run_states"]
    checks = [f"SELECT throwIf(count() = 0) FROM proventrail.{table}" for table in tables]
    assert refused(as_user("auditor", "statements", checks)) == []


def test_tables_are_tiered_though_no_migration_says_so(sunk: Asked, as_user: Engine) -> None:
    tables = """SELECT throwIf(countIf(storage_policy != 'tiered') > 0 OR count() < 10) FROM system.tables
        WHERE database = 'proventrail' AND engine LIKE '%MergeTree'"""
    order = "[('hot', 'hot'), ('warm', 'warm'), ('cold', 'cold')]"
    volumes = f"""SELECT throwIf(groupArray((volume_name, disks[1])) != {order}) FROM
        (SELECT * FROM system.storage_policies WHERE policy_name = 'tiered' ORDER BY volume_priority)"""
    assert refused(as_user("auditor", "statements", [tables, volumes])) == []


@pytest.mark.parametrize(
    ("user", "statements"),
    [
        (
            "ingest",
            [
                "SELECT count() FROM proventrail.catalog_states",
                "SELECT count() FROM proventrail.runs",
                "INSERT INTO proventrail.schema_migrations (number, name, checksum) SELECT 9, '', ''",
                "ALTER TABLE proventrail.events DELETE WHERE 1",
                "TRUNCATE TABLE proventrail.events",
                "DROP TABLE proventrail.events",
                "CREATE TABLE proventrail.mine (x UInt8) ENGINE = Memory",
                "SELECT * FROM file('/etc/hostname', 'LineAsString')",
            ],
        ),
        (
            "auditor",
            [
                "INSERT INTO proventrail.duplicate_deliveries (raw_offset) SELECT 1",
                "ALTER TABLE proventrail.events DELETE WHERE 1",
                "TRUNCATE TABLE proventrail.events",
                "DROP VIEW proventrail.runs",
                "SELECT * FROM file('/etc/hostname', 'LineAsString')",
                "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
                "SET readonly = 0",
                "SET max_memory_usage = 99000000000",
            ],
        ),
        (
            "migrate",
            ["CREATE DATABASE other", "CREATE USER eve", "SELECT * FROM file('/etc/hostname', 'LineAsString')"],
        ),
    ],
)
def test_a_user_can_do_nothing_else(sunk: Asked, as_user: Engine, user: str, statements: list[str]) -> None:
    asked = as_user(user, "statements", statements)
    assert [sql for sql, _ in asked] == statements
    assert [(sql, code) for sql, code in asked if code not in REFUSALS] == []


def test_the_auditor_can_ask_every_table(sunk: Asked, as_user: Engine) -> None:
    names = {name for sql, _ in sunk for name in re.findall(r"proventrail\.(\w+)", sql)}
    names |= {"runs", "lineage_edges", "column_edges", "dataset_versions", "job_versions", "catalog"}
    asked = as_user("auditor", "statements", [f"SELECT count() FROM proventrail.{name}" for name in sorted(names)])
    assert refused(asked) == []


def test_no_user_has_a_password_in_the_file_and_none_is_called_default(users: ET.Element) -> None:
    found: dict[str, Any] = {user.tag: user for user in users.findall("users/*")}
    assert found.pop("default").attrib == {"remove": "1"}
    assert set(found) == {"ingest", "migrate", "auditor"}
    for name, user in found.items():
        secrets = [child for child in user if "password" in child.tag]
        assert [(s.tag, s.text, s.get("from_env")) for s in secrets] == [
            ("password_sha256_hex", None, f"CLICKHOUSE_{name.upper()}_PASSWORD_SHA256")
        ]


def test_the_engine_does_not_start_without_a_password(folder: Path, repo_dir: Path) -> None:
    done = start(folder, repo_dir, "statements", "", [])
    assert done.returncode != 0
    assert "Password hash" in done.stderr


@pytest.mark.parametrize("cluster", [None, "main"])
def test_the_engine_parses_every_statement_of_the_migrations(store: ClientStore, cluster: str | None) -> None:
    """Those of a cluster cannot be run here: there is no Keeper."""
    dialect = Dialect(cluster=cluster)
    statements = [statement for migration in MIGRATIONS for statement in migration.statements(dialect)]
    assert statements
    for statement in statements:
        assert store.rows("SELECT formatQuery({sql:String})", {"sql": statement})
