"""`proventrail privacy` for those who keep the vault: holds, principals, keys, tombstones, its journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

import click

from proventrail.cli.ask import open_store
from proventrail.cli.errors import NO, USAGE, CommandError
from proventrail.cli.output import format_option, show
from proventrail.cli.vault_access import VaultAccess, as_principal, subject_option, with_vault
from proventrail.privacy.vault import FileKeys, Tombstone, repair_vault
from proventrail.privacy.vault.erasure import add_hold, holds, remove_hold, withdraw_approvals
from proventrail.privacy.vault.principals import ROLES, Role
from proventrail.privacy.vault.rotation import destroy_old_keys, rotate_key
from proventrail.storage.privacy import logged_tombstones


@click.group()
def hold() -> None:
    """Legal holds: who must not be erased."""


@hold.command("add")
@subject_option
@click.option("--reason", required=True, help="One line, such as the number of a case.")
@as_principal
@with_vault
def hold_add(access: VaultAccess, subject: str, reason: str, principal: str) -> None:
    """Forbid to erase a subject."""
    name = access.prove(principal, "approver")
    with access.opened() as vault:
        add_hold(vault, subject, name, reason)
    click.echo(f"held: {subject}")


@hold.command("remove")
@subject_option
@as_principal
@with_vault
def hold_remove(access: VaultAccess, subject: str, principal: str) -> None:
    """Take a legal hold away."""
    name = access.prove(principal, "approver")
    with access.opened() as vault:
        remove_hold(vault, subject, name)
    click.echo(f"held no longer: {subject}")


@hold.command("list")
@format_option
@with_vault
def hold_list(access: VaultAccess, fmt: str | None) -> None:
    """List legal holds."""
    with access.opened() as vault:
        rows = [(one.subject_id, one.reason, one.principal, one.since) for one in holds(vault)]
    show(["subject", "reason", "principal", "since"], rows, fmt)


@click.group()
def principals() -> None:
    """Who may approve, reveal and audit."""


@principals.command("add")
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="May be repeated.")
@with_vault
def principals_add(access: VaultAccess, name: str, roles: tuple[Role, ...]) -> None:
    """Add a principal and print its token, once. Whoever may write the data directory may do this."""
    with access.opened() as vault, vault.transaction("change") as session:
        token = access.principals.add(
            name,
            roles,
            lambda added: vault.record(session, "principal.add", {"principal": added.name, "roles": list(added.roles)}),
        )
    click.echo(f"The token of {name}, which is shown once and kept nowhere:", err=True)
    click.echo(token)


@principals.command("remove")
@click.argument("name")
@with_vault
def principals_remove(access: VaultAccess, name: str) -> None:
    """Remove a principal; its token proves nothing any more, and its approvals of what waits are void."""
    with access.opened() as vault, vault.transaction("change") as session:
        access.principals.remove(name, lambda: vault.record(session, "principal.remove", {"principal": name}))
        withdraw_approvals(session, name)
    click.echo(f"removed: {name}")


@principals.command("list")
@format_option
@with_vault
def principals_list(access: VaultAccess, fmt: str | None) -> None:
    """List principals and their roles."""
    show(["name", "roles"], [(one.name, ", ".join(one.roles)) for one in access.principals.all()], fmt)


@click.command("rotate-key")
@click.option(
    "--destroy-old",
    is_flag=True,
    help="Remove older keys from the key file afterwards: backups of the vault from before cannot be read any more.",
)
@as_principal
@with_vault
def rotate(access: VaultAccess, destroy_old: bool, principal: str) -> None:
    """Put the vault under another key-encryption key; a rotation that was cut off is finished.

    A key in a file is made by this command. For env:NAME put the new key into NAME and the old one into NAME_OLD first;
    a key service gets its new key by its own means.
    """
    name = access.prove(principal, "approver")
    keys = access.keys
    if destroy_old and not isinstance(keys, FileKeys):
        raise CommandError("--destroy-old works on a key file: elsewhere remove the old key yourself", USAGE)
    with access.opened() as vault:
        done = rotate_key(vault, name, renew=keys.rotate if isinstance(keys, FileKeys) else None)
        click.echo(f"{done} subjects are under the key {keys.key_id}")
        if isinstance(keys, FileKeys) and destroy_old:
            gone = destroy_old_keys(vault, keys)
            click.echo(f"destroyed: {', '.join(gone) or 'none, there was no older key'}")


@click.group()
def tombstones() -> None:
    """Erasures, as they outlive the vault's database."""


@tombstones.command("export")
@click.option(
    "--from-log", is_flag=True, help="Read them from the audit log, where the vault and its journal are lost."
)
@with_vault
def tombstones_export(access: VaultAccess, from_log: bool) -> None:
    """Print tombstones as JSON lines."""
    if from_log:
        found = [
            Tombstone(*row) for row in logged_tombstones(open_store(access.target), access.target.clickhouse_database)
        ]
    else:
        with access.opened() as vault:
            found = vault.tombstones()
    for stone in found:
        click.echo(json.dumps(stone.__dict__))


@tombstones.command("apply")
@click.argument("file", type=click.File(encoding="utf-8"), required=False)
@with_vault
def tombstones_apply(access: VaultAccess, file: TextIO | None) -> None:
    """After a backup of the vault was restored: erase again what its journal, and FILE of `export`, say was erased.

    Stop the processors before a restore, and start them after this."""
    given = [_tombstone(number, line) for number, line in enumerate(file or (), 1) if line.strip()]
    gone = repair_vault(access.address, access.keys, given, journal=access.journal_path)
    click.echo(f"{gone} subjects were erased again")


def _tombstone(number: int, line: str) -> Tombstone:
    try:
        found = json.loads(line)
        stone = Tombstone(found["subject_id"], found["erased_at"], found["proof"])
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"line {number} is no tombstone of `tombstones export`", USAGE) from None
    if not all(isinstance(value, str) for value in stone.__dict__.values()):
        raise CommandError(f"line {number} is no tombstone of `tombstones export`", USAGE)
    return stone


@click.command()
@format_option
@with_vault
def audit(access: VaultAccess, fmt: str | None) -> None:
    """Check the chain of the vault's journal, and print what was done with the vault. Events that wait are sent."""
    with access.opened() as vault:
        entries = vault.journal.entries()
    if not entries:
        raise CommandError("the journal is empty", NO)
    rows = [
        (entry.sequence, entry.event["eventTime"], entry.facet["action"], entry.facet.get("subject"), _who(entry.facet))
        for entry in entries
    ]
    show(["sequence", "time", "action", "subject", "principals"], rows, fmt)


def _who(facet: Mapping[str, Any]) -> str:
    return ", ".join(facet.get("approved_by") or ([facet["principal"]] if "principal" in facet else []))
