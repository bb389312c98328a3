"""Whether database and journal tell one story. A database restored from a backup has forgotten what the journal knows.

Each journal that a database was used with has its head (number and hash of its last line) in the database, so that a
journal that was cut off, changed or restored by itself is seen as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proventrail.privacy.vault.database import Session
from proventrail.privacy.vault.errors import VaultError
from proventrail.privacy.vault.journal import Entry, Journal, State, state_of
from proventrail.privacy.vault.keyring import Keyring


@dataclass(frozen=True)
class Tombstone:
    """An erased subject, as it leaves the vault and comes back; `proof` is `Keyring.tombstone_proof`."""

    subject_id: str
    erased_at: str
    proof: str


_HEAD = "journal "
_APPLY = "run `proventrail privacy tombstones apply`"


def record(session: Session, journal: Journal, action: str, details: Mapping[str, object]) -> Entry:
    """Append to the journal, then note its new head in the transaction: the journal is never behind the database."""
    entry = journal.append(action, details)
    _note_head(session, journal.id, entry)
    return entry


def _note_head(session: Session, journal_id: str, entry: Entry) -> None:
    session.run("DELETE FROM meta WHERE name = ?", (_HEAD + journal_id,))
    session.run("INSERT INTO meta (name, value) VALUES (?, ?)", (_HEAD + journal_id, f"{entry.sequence} {entry.hash}"))


def finish_last(session: Session, journal: Journal) -> bool:
    """Do what the journal's last line says, if the database lacks that line alone: the process that was to do it was
    killed between the two. Whether anything was done."""
    entries = journal.entries()
    if len(entries) < 2:
        return False
    heads = session.rows("SELECT value FROM meta WHERE name = ?", (_HEAD + entries[0].hash,))
    last, before = entries[-1], entries[-2]
    if heads != [(f"{before.sequence} {before.hash}",)]:
        return False
    facet = last.facet
    if facet["action"] in ("erase", "tombstone"):
        bury(session, facet["subject"], facet["erased_at"])
    elif facet["action"] == "hold.add":
        put_hold(session, facet["subject"], facet["reason"], facet["principal"], facet["since"])
    else:
        # Reading leaves nothing to do. What else was begun is not done, and may be asked for again.
        return False
    _note_head(session, entries[0].hash, last)
    return True


def check(session: Session, journal: Journal, *, empty: bool, one_host: bool) -> None:
    """Raises VaultError if the two disagree. `empty`: the database is new; `one_host`: it has this one journal."""
    entries = journal.entries()
    if empty and entries:
        raise VaultError(
            f"the vault's database is gone, but its journal {journal.path} is not: restore the database and {_APPLY}; "
            "or move the journal away to begin anew, with another pseudonym for everybody"
        )
    heads: dict[str, str] = dict(session.rows("SELECT name, value FROM meta WHERE name LIKE ?", (f"{_HEAD}%",)))
    if one_host and heads and not (entries and _HEAD + entries[0].hash in heads):
        raise VaultError(
            f"the vault's own journal {journal.path} is gone: restore it; or export the tombstones from the audit log "
            f"and {_APPLY}"
        )
    _check_head(journal, entries, heads)
    _check_state(session, state_of(entries), one_host)


def _check_head(journal: Journal, entries: list[Entry], heads: Mapping[str, str]) -> None:
    head = heads.get(_HEAD + entries[0].hash) if entries else None
    if head is None:
        return
    sequence, _, digest = head.partition(" ")
    if int(sequence) >= len(entries) or entries[int(sequence)].hash != digest:
        raise VaultError(
            f"the vault's journal {journal.path} is older than its database, or was changed: restore it; or export the "
            f"tombstones from the audit log and {_APPLY}"
        )


def _check_state(session: Session, state: State, one_host: bool) -> None:
    forgotten = state.erased.keys() - erased_in(session)
    if forgotten:
        raise VaultError(
            f"the vault's database is older than its journal, by {len(forgotten)} erasures: {_APPLY}, "
            "so that what was erased stays erased"
        )
    lost = state.held.keys() - {row[0] for row in session.rows("SELECT subject_id FROM holds")}
    if one_host and lost:
        raise VaultError(f"the vault's database is older than its journal, by {len(lost)} legal holds: {_APPLY}")


def erased_in(session: Session) -> set[str]:
    return {row[0] for row in session.rows("SELECT subject_id FROM tombstones")}


def learn(session: Session, journal: Journal, keyring: Keyring) -> None:
    """Begin a journal where there is none, and note in it what was erased from other machines."""
    entries = journal.entries()
    if not entries:
        record(session, journal, "vault.open", {})
    known = state_of(entries).erased
    for subject_id, erased_at in session.rows("SELECT subject_id, erased_at FROM tombstones ORDER BY subject_id"):
        if subject_id not in known:
            _record_tombstone(session, journal, keyring, subject_id, erased_at)


def _record_tombstone(session: Session, journal: Journal, keyring: Keyring, subject_id: str, erased_at: str) -> None:
    proof = keyring.tombstone_proof(subject_id, erased_at)
    record(session, journal, "tombstone", {"subject": subject_id, "erased_at": erased_at, "proof": proof})


def apply_tombstones(session: Session, journal: Journal, keyring: Keyring, given: Iterable[Tombstone]) -> int:
    """Erase again what the journal and `given` say was erased, and hold what was held; how many subjects that took
    away. Raises VaultError for a tombstone that this vault did not make."""
    more = {stone.subject_id: stone.erased_at for stone in given if _is_proven(stone, keyring)}
    entries = journal.entries()
    state = state_of(entries)
    gone = 0
    for subject_id, erased_at in {**more, **state.erased}.items():
        gone += bury(session, subject_id, erased_at)
        if subject_id not in state.erased:
            _record_tombstone(session, journal, keyring, subject_id, erased_at)
    for subject_id, hold in state.held.items():
        if subject_id not in more:
            put_hold(session, subject_id, hold["reason"], hold["principal"], hold["since"])
    record(session, journal, "vault.repair", {"purged": gone})
    return gone


def _is_proven(stone: Tombstone, keyring: Keyring) -> bool:
    if not hmac.compare_digest(
        keyring.tombstone_proof(stone.subject_id, stone.erased_at).encode(), stone.proof.encode()
    ):
        raise VaultError(f"the tombstone of {stone.subject_id} is not of this vault: nothing was erased by it")
    return True


def put_hold(session: Session, subject_id: str, reason: str, principal: str, since: str) -> None:
    session.run(
        "INSERT INTO holds (subject_id, reason, principal, since) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (subject_id, reason, principal, since),
    )


def bury(session: Session, subject_id: str, erased_at: str) -> int:
    """Delete the subject's row and leave a tombstone; 1 if there was a row."""
    found = session.rows("SELECT lookup FROM subjects WHERE subject_id = ?", (subject_id,))
    session.run("DELETE FROM subjects WHERE subject_id = ?", (subject_id,))
    for table in ("holds", "erasure_requests", "erasure_approvals"):
        session.run(f"DELETE FROM {table} WHERE subject_id = ?", (subject_id,))
    session.run(
        "INSERT INTO tombstones (subject_id, lookup, erased_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (subject_id, found[0][0] if found else None, erased_at),
    )
    return len(found)
