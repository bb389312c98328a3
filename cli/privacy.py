"""`proventrail privacy`: who is behind a pseudonym, what was found where, and how somebody is erased."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click
from clickhouse_connect.driver.exceptions import ClickHouseError

from proventrail.cli.ask import open_store
from proventrail.cli.errors import NO, USAGE, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.cli.privacy_admin import audit, hold, principals, rotate, tombstones
from proventrail.cli.vault_access import VaultAccess, as_principal, policy_option, subject_option, with_vault
from proventrail.privacy.vault.erasure import APPROVALS, Request, request_erasure, requests
from proventrail.privacy.vault.reveal import reveal
from proventrail.privacy.vault.subject import is_subject_id
from proventrail.storage.errors import describe
from proventrail.storage.privacy import (
    OCCURRENCE_COLUMNS,
    REPORT_COLUMNS,
    By,
    NoFindings,
    Period,
    occurrences,
    report,
)

_days = click.option(
    "--days", type=click.IntRange(1, 36500), default=30, show_default=True, help="Back from the newest event."
)


@click.group()
def privacy() -> None:
    """Pseudonyms: find, reveal, report, erase."""


for _command in (hold, principals, rotate, tombstones, audit):
    privacy.add_command(_command)


@privacy.command("erase")
@subject_option
@click.option("--reason", help="One line, such as the number of a ticket; it is in the audit log. Needed to ask first.")
@click.option("--approve", is_flag=True, help="Approve the erasure. Without it, it is only asked for.")
@as_principal
@with_vault
def erase(access: VaultAccess, subject: str, reason: str | None, approve: bool, principal: str) -> None:
    """Erase a subject, once two approvers have approved: its pseudonym means nothing any more, what was sealed for it
    cannot be read. This cannot be undone."""
    name = access.prove(principal, "approver")
    with access.opened() as vault:
        request = request_erasure(vault, subject, name, reason=reason, approve=approve)
    click.echo(_told(request))


def _told(request: Request) -> str:
    if request.erased:
        return (
            f"erased: {request.subject_id} ({request.kind}), approved by {' and '.join(request.approvals)}. "
            "Running processors have forgotten it within 60 s"
        )
    return (
        f"waiting: {request.subject_id} ({request.kind}), asked for by {request.requested_by}, reason: "
        f"{request.reason}; {len(request.approvals)} of {APPROVALS} approvals"
    )


@privacy.command("requests")
@format_option
@with_vault
def requests_(access: VaultAccess, fmt: str | None) -> None:
    """List erasures that wait for an approval."""
    with access.opened() as vault:
        rows = [
            (r.subject_id, r.kind, r.reason, r.requested_by, r.since, ", ".join(r.approvals)) for r in requests(vault)
        ]
    show(["subject", "kind", "reason", "requested_by", "since", "approvals"], rows, fmt)


@privacy.command("find")
@click.option("--kind", metavar="KIND", help="What the value is, for example email (docs/privacy-detection.md).")
@click.option(
    "--value-from",
    type=click.Choice(["prompt", "stdin"]),
    default="prompt",
    show_default=True,
    help="Where the value is read from. It is no argument: those stay in the shell's history.",
)
@click.option("--subject", metavar="ID", help="A subject's id, instead of kind and value.")
@click.option("--limit", type=int, default=100, show_default=True, help="Of events that are listed.")
@_days
@policy_option
@as_principal
@format_option
@with_vault
def find(
    access: VaultAccess,
    policy: Path | None,
    kind: str | None,
    value_from: str,
    subject: str | None,
    limit: int,
    days: int,
    principal: str,
    fmt: str | None,
) -> None:
    """Find the subject of a value, however it is spelt, and the events that name it. The subject id goes to standard
    error, the events to standard output."""
    if (kind is None) == (subject is None):
        raise CommandError("name either --kind, for a value, or --subject", USAGE)
    name = access.prove(principal, "auditor", "approver")
    found = subject if subject is not None else _find_value(access, _shared(kind or "", policy), value_from, name)
    if not is_subject_id(found):
        raise CommandError("--subject takes an id: 26 characters of Base32 in lower case", USAGE)
    try:
        rows = occurrences(open_store(access.target), access.target.clickhouse_database, found, limit=limit, days=days)
    except ClickHouseError as error:
        raise CommandError(f"the log could not be searched: {describe(error)}") from None
    show(list(OCCURRENCE_COLUMNS), rows, fmt)


def _shared(kind: str, policy: Path | None) -> str:
    """The kind whose pseudonyms `kind` shares: the policy may say that two kinds name the same persons."""
    from proventrail.cli.privacy_step import policy_of

    rules = policy_of(policy)
    named = {rule.kind for rule in rules.model.rules}
    if kind not in {*rules.groups, *named}:
        raise CommandError(f"no kind {kind} is detected or named by the policy: see docs/privacy-detection.md", USAGE)
    return rules.model.identities.get(kind, kind)


def _find_value(access: VaultAccess, kind: str, value_from: str, principal: str) -> str:
    from proventrail.privacy.normalise import normalise

    text = sys.stdin.readline() if value_from == "stdin" else click.prompt("value", hide_input=True, err=True)
    value = normalise(kind, text.strip())
    with access.opened() as vault:
        found = vault.find(kind, value)
        with vault.transaction("change") as session:
            vault.record(session, "find", {"kind": kind, "subject": found, "principal": principal})
        for subject_id, erased_at in vault.erased_before(kind, value):
            click.echo(f"erased before: {subject_id} at {erased_at}", err=True)
    if found is None:
        raise CommandError("the vault knows no such value", NO)
    click.echo(f"subject: {found}", err=True)
    return found


@privacy.command("reveal")
@click.argument("token")
@click.option("--event-id", required=True, help="The event that the token stands in.")
@click.option("--path", required=True, help="The field that it stands in.")
@as_principal
@with_vault
def reveal_(access: VaultAccess, token: str, event_id: str, path: str, principal: str) -> None:
    """Print the value that a token (ptk1.…) was made of. Needs the role revealer, and leaves an audit event."""
    name = access.prove(principal, "revealer")
    with access.opened() as vault:
        click.echo(reveal(vault, token, name, event_id=event_id, path=path))


@privacy.command("report")
@click.option("--by", type=click.Choice(get_args(By)), default="job", show_default=True, help="What is counted by.")
@click.option("--period", type=click.Choice(get_args(Period)), default="day", show_default=True, help="Of one row.")
@_days
@format_option
@with_target
def report_(target: Target, by: By, period: Period, days: int, fmt: str | None) -> None:
    """What kinds of personal data were found where, and what was done with them; never a value."""
    try:
        rows = report(open_store(target), target.clickhouse_database, by=by, period=period, days=days)
    except NoFindings as error:
        raise CommandError(str(error), NO) from None
    show(list(REPORT_COLUMNS), rows, fmt)
