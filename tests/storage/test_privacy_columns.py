"""What the privacy step found is in the table, and the query of docs/privacy.md sums it up."""

from __future__ import annotations

import re
from pathlib import Path

from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.store import ClientStore

from .conftest import chunk, refined


def test_findings_are_stored_by_event(store: ClientStore, dialect: Dialect, repo_dir: Path) -> None:
    writer = EventWriter(store, dialect, 0)
    writer.open(None)
    mail = {"path": "job.name", "kind": "email", "action": "pseudonymise", "dataset": "", "count": 1}
    key = {"path": "run.facets.x.*", "kind": "aws-key", "action": "redact", "dataset": "s3://b\nd", "count": 3}
    events = [refined(0, privacy=[mail, key], policy_version="p1"), refined(1), refined(2, privacy=[mail])]
    writer.write(chunk(events), replay=False)
    rows = store.rows(
        "SELECT policy_version, `privacy.path`, `privacy.kind`, `privacy.action`, `privacy.dataset`, `privacy.count` "
        f"FROM {dialect.name('events')} ORDER BY raw_offset"
    )
    assert [tuple(row) for row in rows] == [
        (
            "p1",
            ["job.name", "run.facets.x.*"],
            ["email", "aws-key"],
            ["pseudonymise", "redact"],
            ["", "s3://b\nd"],
            [1, 3],
        ),
        ("", [], [], [], [], []),
        ("", ["job.name"], ["email"], ["pseudonymise"], [""], [1]),
    ]
    [query] = re.findall(r"```sql\n(.*?)```", (repo_dir / "docs" / "privacy.md").read_text(), re.DOTALL)
    found = store.rows(query.replace("FROM events", f"FROM {dialect.name('events')}"))
    assert [tuple(row) for row in found] == [("j", "aws-key", "run.facets.x.*", 3), ("j", "email", "job.name", 2)]
