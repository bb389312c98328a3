"""Questions about pseudonyms and findings, on the real tables in the real engine."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from pydantic import SecretStr

from proventrail.privacy.vault.journal import audit_event
from proventrail.schemas.settings import ClickHouseSettings
from proventrail.storage.dialect import Dialect
from proventrail.storage.endpoint import Endpoint
from proventrail.storage.engine import Engine
from proventrail.storage.privacy import By, NoFindings, logged_tombstones, occurrences, report
from proventrail.storage.store import ClientStore, connect

SUBJECT = "abcdefghijklmnopqrstuvwxye"[:25] + "e"
COLUMNS = "raw_offset, event_id, received_at, job_namespace, job_name"


def insert(store: ClientStore, dialect: Dialect, number: int, **columns: str) -> None:
    """One event; the values of `columns` are SQL."""
    given = {
        "raw_offset": str(number),
        "event_id": f"toUUID('00000000-0000-8000-8000-{number:012d}')",
        "event_kind": "'RUN'",
        "received_at": "'2026-11-24 10:00:00'",
        "event_time": "'2026-11-24 10:00:00'",
        "job_namespace": "'shop'",
        "job_name": "'load'",
        **columns,
    }
    names = ", ".join(f"`{name}`" for name in given)
    store.command(f"INSERT INTO {dialect.database}.events ({names}) SELECT {', '.join(given.values())}")


def test_a_pseudonym_is_found_in_any_text_column(store: ClientStore, dialect: Dialect) -> None:
    insert(store, dialect, 1, actor=f"'user_{SUBJECT}'")
    insert(store, dialect, 2, run_facets=f"map('errorMessage', '{{\"message\":\"email_{SUBJECT} unknown\"}}')")
    # `inputs.*` are arrays of one length.
    insert(store, dialect, 3, **{"inputs.namespace": "['file']", "inputs.name": f"['home/{SUBJECT}/x']"})
    insert(store, dialect, 4, **{"outputs.facets": f"[map('ownership', 'ptk1.{SUBJECT}.xyz')]"})
    insert(store, dialect, 5, actor="'user_" + "z" * 26 + "'")
    found = occurrences(store, dialect.database, SUBJECT, limit=10, days=30)
    assert [(row[1][-1], row[5]) for row in found] == [
        ("4", ["outputs.facets"]),
        ("3", ["inputs.name"]),
        ("2", ["run_facets"]),
        ("1", ["actor"]),
    ]
    insert(store, dialect, 6, received_at="'2026-10-01 00:00:00'", actor=f"'user_{SUBJECT}'")
    assert len(occurrences(store, dialect.database, SUBJECT, limit=10, days=30)) == 4
    assert len(occurrences(store, dialect.database, SUBJECT, limit=10, days=90)) == 5
    assert len(occurrences(store, dialect.database, SUBJECT, limit=2, days=30)) == 2


@pytest.fixture
def with_findings(store: ClientStore, dialect: Dialect) -> Dialect:
    """Two events with findings, and one of long ago without."""
    insert(
        store,
        dialect,
        1,
        **{
            "inputs.namespace": "['s3://b', 's3://b']",
            "inputs.name": "['orders', 'people']",
            "outputs.namespace": "['s3://b']",
            "outputs.name": "['out']",
            "privacy.path": "['inputs[1].facets.schema', 'outputs.facets.x', 'run.facets.sql.query']",
            "privacy.kind": "['email', 'phone', 'email']",
            "privacy.action": "['pseudonymise', 'redact', 'pseudonymise']",
            "privacy.count": "[2, 1, 3]",
            "privacy.dataset": r"['s3://b\npeople', 's3://b\nout', '']",
            "policy_version": "'v1'",
        },
    )
    insert(
        store,
        dialect,
        2,
        received_at="'2026-11-23 23:59:59'",
        **{
            "inputs.namespace": "['s3://b', 's3://b']",
            "inputs.name": "['orders', 'people']",
            "privacy.path": "['inputs.0.facets.schema', 'inputs.0.facets.schema']",
            "privacy.kind": "['email', 'iban']",
            "privacy.action": "['pseudonymise', 'redact']",
            "privacy.count": "[1, 4]",
            "privacy.dataset": r"['s3://b\norders', 's3://b\norders']",
            "policy_version": "'v1'",
        },
    )
    insert(store, dialect, 3, received_at="'2026-10-01 00:00:00'", policy_version="'v1'")
    return dialect


def test_report_by_job_and_day(store: ClientStore, with_findings: Dialect) -> None:
    rows = report(store, with_findings.database, by="job", period="day", days=30)
    assert [(str(row[0]), *row[1:]) for row in rows] == [
        ("2026-11-24", "shop", "load", "email", "pseudonymise", "v1", 5, 1),
        ("2026-11-24", "shop", "load", "phone", "redact", "v1", 1, 1),
        ("2026-11-23", "shop", "load", "iban", "redact", "v1", 4, 1),
        ("2026-11-23", "shop", "load", "email", "pseudonymise", "v1", 1, 1),
    ]


def test_report_by_month(store: ClientStore, with_findings: Dialect) -> None:
    rows = report(store, with_findings.database, by="job", period="month", days=30)
    assert [(str(row[0]), row[3], row[6], row[7]) for row in rows] == [
        ("2026-11-01", "email", 6, 2),
        ("2026-11-01", "iban", 4, 1),
        ("2026-11-01", "phone", 1, 1),
    ]


def test_report_by_dataset(store: ClientStore, with_findings: Dialect) -> None:
    rows = report(store, with_findings.database, by="dataset", period="month", days=30)
    assert [(row[2], row[3], row[6]) for row in rows] == [
        ("orders", "iban", 4),
        ("people", "email", 2),
        ("orders", "email", 1),
        ("out", "phone", 1),
    ]


def test_report_by_path(store: ClientStore, with_findings: Dialect) -> None:
    rows = report(store, with_findings.database, by="path", period="month", days=30)
    assert {(row[2], row[3]): row[6] for row in rows} == {
        ("inputs[*].facets.schema", "email"): 2,
        ("outputs.facets.x", "phone"): 1,
        ("run.facets.sql.query", "email"): 3,
        ("inputs.*.facets.schema", "email"): 1,
        ("inputs.*.facets.schema", "iban"): 4,
    }


def test_report_over_http_is_the_same(engine: Engine, store: ClientStore, with_findings: Dialect) -> None:
    token, database = "a-token-for-the-tests-of-reports", with_findings.database
    endpoint = Endpoint(engine.connection_string, token, database=database).start()
    settings = ClickHouseSettings(
        url=f"http://127.0.0.1:{endpoint.port}",
        username="auditor",
        password=SecretStr(token),
    )
    remote = connect(settings)
    for by in get_args(By):
        rows = report(remote, database, by=by, period="day", days=30)
        assert rows == report(store, database, by=by, period="day", days=30)
        assert rows
    remote.close()
    endpoint.stop()


def test_report_of_a_store_without_the_columns(store: ClientStore, dialect: Dialect) -> None:
    store.command(f"ALTER TABLE {dialect.database}.events DROP COLUMN policy_version")
    with pytest.raises(NoFindings, match="migrate"):
        report(store, dialect.database, by="job", period="day", days=30)


def test_tombstones_out_of_the_log(store: ClientStore, dialect: Dialect) -> None:
    event = audit_event("erase", "2026-11-24T10:00:00Z", {"subject": SUBJECT, "erased_at": "t1", "proof": "p1"})
    facet = json.dumps(event["job"]["facets"]["proventrail_privacy"])
    columns = {"job_namespace": "'proventrail'", "job_facets": f"map('proventrail_privacy', '{facet}')"}
    insert(store, dialect, 1, job_name="'privacy.erase'", **columns)
    insert(store, dialect, 2, job_name="'privacy.tombstone'", **columns)
    insert(store, dialect, 3, job_name="'privacy.reveal'", **columns)
    assert logged_tombstones(store, dialect.database) == [(SUBJECT, "t1", "p1")]
