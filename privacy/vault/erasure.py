"""Erasing a subject: a request, approvals by two principals, legal holds that forbid it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from proventrail.privacy.vault.database import Session
from proventrail.privacy.vault.errors import Refused, VaultError
from proventrail.privacy.vault.journal import stamp
from proventrail.privacy.vault.vault import Vault
from proventrail.privacy.vault.witness import bury, put_hold

APPROVALS = 2
REQUEST_LIFE = timedelta(days=30)
"""An approval that nobody followed up must not lie in wait for ever."""

_REASON_CHARACTERS = 200


@dataclass(frozen=True)
class Request:
    """Where an erasure stands. `kind`: of the subject, so that an approver sees what the id stands for."""

    subject_id: str
    kind: str
    reason: str
    requested_by: str
    since: str
    approvals: tuple[str, ...]
    erased: bool = False


@dataclass(frozen=True)
class Hold:
    """A legal hold: the subject cannot be erased while it stands."""

    subject_id: str
    reason: str
    principal: str
    since: str


def _checked_reason(reason: str) -> str:
    if not reason.strip() or len(reason) > _REASON_CHARACTERS or not reason.isprintable():
        raise Refused(f"a reason is one line of 1 to {_REASON_CHARACTERS} characters, such as the number of a ticket")
    return reason.strip()


def _kind_of(session: Session, subject_id: str) -> str:
    found = session.rows("SELECT kind FROM subjects WHERE subject_id = ?", (subject_id,))
    if found:
        return str(found[0][0])
    erased = session.rows("SELECT erased_at FROM tombstones WHERE subject_id = ?", (subject_id,))
    if erased:
        raise Refused(f"the subject {subject_id} was erased already, at {erased[0][0]}")
    raise VaultError(f"the vault has no subject {subject_id}")


def _refuse_if_held(session: Session, subject_id: str) -> None:
    held = session.rows("SELECT principal, since FROM holds WHERE subject_id = ?", (subject_id,))
    if held:
        raise Refused(
            f"a legal hold on {subject_id} (by {held[0][0]}, since {held[0][1]}) forbids to erase it: "
            "`proventrail privacy hold remove` takes it away"
        )


def _request(session: Session, subject_id: str, now: datetime) -> Request | None:
    found = session.rows("SELECT reason, principal, since FROM erasure_requests WHERE subject_id = ?", (subject_id,))
    if not found or _lapsed(found[0][2], now):
        return None
    approvals = session.rows(
        "SELECT principal FROM erasure_approvals WHERE subject_id = ? ORDER BY since, principal", (subject_id,)
    )
    kind = _kind_of(session, subject_id)
    reason, principal, since = found[0]
    return Request(subject_id, kind, reason, principal, since, tuple(row[0] for row in approvals))


def _lapsed(since: str, now: datetime) -> bool:
    return now.astimezone(UTC) - datetime.fromisoformat(since) > REQUEST_LIFE


def _open_request(vault: Vault, session: Session, subject_id: str, reason: str, principal: str) -> None:
    for table in ("erasure_requests", "erasure_approvals"):
        session.run(f"DELETE FROM {table} WHERE subject_id = ?", (subject_id,))
    session.run(
        "INSERT INTO erasure_requests (subject_id, reason, principal, since) VALUES (?, ?, ?, ?)",
        (subject_id, reason, principal, stamp(vault.journal.now())),
    )
    vault.record(session, "erase.request", {"subject": subject_id, "reason": reason, "principal": principal})


def request_erasure(vault: Vault, subject_id: str, principal: str, *, reason: str | None, approve: bool) -> Request:
    """Ask for an erasure, or go on with one that was asked for; with `approve`, the principal approves it.

    To ask is not to approve. The approval that completes `APPROVALS` different principals erases: the subject's row is
    deleted, a tombstone and an audit event are left. A request lapses after `REQUEST_LIFE`, its approvals with it.
    Raises Refused for a legal hold, a second approval by the same principal, a missing reason, an erased subject.
    """
    with vault.transaction("change") as session:
        _kind_of(session, subject_id)
        _refuse_if_held(session, subject_id)
        request = _request(session, subject_id, vault.journal.now())
        if request is None:
            if reason is None:
                raise Refused("there is no request to erase this subject yet: give a reason to make one")
            _open_request(vault, session, subject_id, _checked_reason(reason), principal)
            request = _request(session, subject_id, vault.journal.now())
            assert request is not None
        if approve:
            request = _approve(vault, session, request, principal)
    if request.erased:
        vault.forget_cached(subject_id)
        vault.database.scrub()
    return request


def _approve(vault: Vault, session: Session, request: Request, principal: str) -> Request:
    if principal in request.approvals:
        raise Refused(f"{principal} has approved this erasure already: the other approval must be another principal's")
    moment = stamp(vault.journal.now())
    approvals = (*request.approvals, principal)
    erased = len(approvals) >= APPROVALS
    if erased:
        details = {"subject": request.subject_id, "reason": request.reason, "requested_by": request.requested_by}
        proof = vault.keyring.tombstone_proof(request.subject_id, moment)
        vault.record(session, "erase", {**details, "approved_by": list(approvals), "erased_at": moment, "proof": proof})
        bury(session, request.subject_id, moment)
    else:
        session.run(
            "INSERT INTO erasure_approvals (subject_id, principal, since) VALUES (?, ?, ?)",
            (request.subject_id, principal, moment),
        )
        vault.record(session, "erase.approve", {"subject": request.subject_id, "principal": principal})
    return replace(request, approvals=approvals, erased=erased)


def withdraw_approvals(session: Session, principal: str) -> None:
    """Make void what a principal that is removed has approved and that was not carried out yet."""
    session.run("DELETE FROM erasure_approvals WHERE principal = ?", (principal,))


def requests(vault: Vault) -> list[Request]:
    """Erasures that wait for an approval, the oldest first."""
    now = vault.journal.now()
    with vault.transaction("read") as session:
        subjects = session.rows("SELECT subject_id FROM erasure_requests ORDER BY since, subject_id")
        found = [_request(session, row[0], now) for row in subjects]
    return [request for request in found if request is not None]


def add_hold(vault: Vault, subject_id: str, principal: str, reason: str) -> None:
    """Forbid to erase a subject. Raises Refused if it is held already or erased."""
    reason = _checked_reason(reason)
    with vault.transaction("change") as session:
        _kind_of(session, subject_id)
        if session.rows("SELECT 1 FROM holds WHERE subject_id = ?", (subject_id,)):
            raise Refused(f"{subject_id} has a legal hold already")
        since = stamp(vault.journal.now())
        vault.record(
            session,
            "hold.add",
            {"subject": subject_id, "reason": reason, "principal": principal, "since": since},
        )
        put_hold(session, subject_id, reason, principal, since)


def remove_hold(vault: Vault, subject_id: str, principal: str) -> None:
    """Take a legal hold away. Raises Refused if there is none."""
    with vault.transaction("change") as session:
        if not session.rows("SELECT 1 FROM holds WHERE subject_id = ?", (subject_id,)):
            raise Refused(f"{subject_id} has no legal hold")
        vault.record(session, "hold.remove", {"subject": subject_id, "principal": principal})
        session.run("DELETE FROM holds WHERE subject_id = ?", (subject_id,))


def holds(vault: Vault) -> list[Hold]:
    with vault.transaction("read") as session:
        rows = session.rows("SELECT subject_id, reason, principal, since FROM holds ORDER BY since, subject_id")
    return [Hold(*row) for row in rows]
