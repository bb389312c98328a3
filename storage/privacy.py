"""Questions to the audit log about what the privacy step did: where a pseudonym stands, what was found where."""

from __future__ import annotations

from typing import Any, Literal

from proventrail.storage.store import Store

Row = tuple[Any, ...]
By = Literal["job", "dataset", "path"]
Period = Literal["day", "month"]

OCCURRENCE_COLUMNS = ("received_at", "event_id", "job_namespace", "job_name", "run_id", "columns")
_FINDINGS = ("privacy.path", "privacy.kind", "privacy.action", "privacy.dataset", "privacy.count", "policy_version")


class NoFindings(Exception):
    """The table of events has no columns for what the privacy step did: it is of a version without the step."""


def _text_columns(store: Store, database: str) -> list[str]:
    rows = store.rows(
        "SELECT name FROM system.columns WHERE database = {database:String} AND table = 'events' "
        "AND type LIKE '%String%' ORDER BY position",
        {"database": database},
    )
    return [str(row[0]) for row in rows]


def _since(database: str) -> str:
    return f"received_at >= (SELECT max(received_at) FROM {database}.events) - toIntervalDay({{days:UInt32}})"


def occurrences(store: Store, database: str, subject_id: str, *, limit: int, days: int) -> list[Row]:
    """Events that name a subject, the newest first, as OCCURRENCE_COLUMNS; `columns` says where in the event.

    Every text column is searched, arrays and maps too. What bounds the search is `limit` and
    the last `days` days of the log, counted back from its newest event.
    """
    found = [
        f"if(position(toString(`{name}`), {{id:String}}) > 0, '{name}', '')" for name in _text_columns(store, database)
    ]
    return store.rows(
        "SELECT received_at, toString(event_id), job_namespace, job_name, run_id, "
        f"arrayFilter(name -> name != '', [{', '.join(found)}]) AS columns "
        f"FROM {database}.events WHERE {_since(database)} AND notEmpty(columns) "
        "ORDER BY received_at DESC, raw_partition, raw_offset DESC "
        "LIMIT {limit:UInt32}",
        {"id": subject_id, "limit": str(limit), "days": str(days)},
    )


_GROUPS: dict[By, str] = {
    "job": "job_namespace AS namespace, job_name AS name",
    "dataset": "substringIndex(dataset, '\\n', 1) AS namespace, substr(dataset, length(namespace) + 2) AS name",
    "path": "'' AS namespace, replaceRegexpAll(path, '\\\\d+', '*') AS name",
}
REPORT_COLUMNS = ("period", "namespace", "name", "kind", "action", "policy_version", "findings", "events")


def report(store: Store, database: str, *, by: By, period: Period, days: int) -> list[Row]:
    """What kinds of personal data were found where, as REPORT_COLUMNS, over the last `days` days of the log.

    `findings` counts values, `events` the events that held them. By `dataset`, findings that belong to none are left
    out. By `path`, the numbers in a path are `*`. The days count back from the newest event. Raises NoFindings.
    """
    columns = store.rows(
        "SELECT count() FROM system.columns WHERE database = {database:String} AND table = 'events' AND name IN "
        f"({', '.join(repr(name) for name in _FINDINGS)})",
        {"database": database},
    )
    if columns[0][0] != len(_FINDINGS):
        raise NoFindings(f"{database}.events has no columns privacy.*: run `proventrail migrate`")
    of_dataset = " AND dataset != ''" if by == "dataset" else ""
    start = {"day": "toStartOfDay", "month": "toStartOfMonth"}[period]
    return store.rows(
        f"SELECT toDate({start}(received_at)) AS period, namespace, name, kind, action, policy_version, "
        "sum(number) AS findings, uniqExact(event_id) AS events FROM ("
        f"SELECT received_at, event_id, policy_version, kind, action, number, {_GROUPS[by]} FROM {database}.events "
        "ARRAY JOIN `privacy.path` AS path, `privacy.kind` AS kind, `privacy.action` AS action, "
        "`privacy.dataset` AS dataset, `privacy.count` AS number "
        f"WHERE {_since(database)}{of_dataset}) "
        "GROUP BY period, namespace, name, kind, action, policy_version "
        "ORDER BY period DESC, findings DESC, namespace, name, kind, action, policy_version",
        {"days": str(days)},
    )


def logged_tombstones(store: Store, database: str) -> list[Row]:
    """Erasures as the audit log has them: subject id, time, proof. What another emitter forged is among them: the proof
    tells."""
    facet = "job_facets['proventrail_privacy']"
    fields = ", ".join(f"JSONExtractString({facet}, '{name}') AS {name}" for name in ("subject", "erased_at", "proof"))
    return store.rows(
        f"SELECT DISTINCT {fields} FROM {database}.events "
        "WHERE job_namespace = 'proventrail' AND job_name IN ('privacy.erase', 'privacy.tombstone') "
        "ORDER BY erased_at, subject, proof"
    )
