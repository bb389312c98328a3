"""Another key-encryption key, without a change to the log: subjects keep ids and keys, only the wrapping is new."""

from __future__ import annotations

from collections.abc import Callable

from proventrail.privacy.vault import keyring as rings
from proventrail.privacy.vault.database import Session
from proventrail.privacy.vault.errors import Refused
from proventrail.privacy.vault.keys import FileKeys
from proventrail.privacy.vault.vault import Vault

BATCH = 500


def rotate_key(
    vault: Vault,
    principal: str,
    *,
    renew: Callable[[], object] | None = None,
    batch: int = BATCH,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Wrap the vault's rows under a new data key, and that one under the provider's key of now; how many rows.

    Where the provider's key is the one in use, `renew` is to give it another; without `renew`, Refused is raised. The
    provider must still have the old key. Each batch is a transaction of its own and processors go on between them; what
    was cut off is finished by the next call. `progress` gets the count after each batch.
    """
    _begin(vault, principal, renew)
    done = 0
    finished = False
    while not finished:
        while rewrapped := _rewrap(vault, batch):
            done += rewrapped
            progress(done)
        finished = _finish(vault, principal, done)
    vault.database.scrub()
    return done


def destroy_old_keys(vault: Vault, keys: FileKeys) -> list[str]:
    """Remove from the key file what neither the vault nor the next row needs; backups of the vault that are wrapped
    under those keys cannot be read any more. Gives their ids."""
    with vault.transaction("change") as session:
        return keys.destroy_all_but({row[0] for row in session.rows("SELECT key_id FROM vault_keys")})


def _begin(vault: Vault, principal: str, renew: Callable[[], object] | None) -> None:
    with vault.transaction("change") as session:
        if len(rings.generations(session)) > 1:
            return
        ring = vault.reload_keys(session)
        if ring.key_id == vault.keys.key_id:
            if renew is None:
                raise Refused("the vault is under the key provider's current key: give the provider a new one first")
            renew()
        key_id = vault.keys.key_id
        vault.record(session, "rotate-key.begin", {"key_id": key_id, "old_key_id": ring.key_id, "principal": principal})
        rings.begin_generation(session, vault.keys, ring)
        vault.reload_keys(session)


def _rewrap(vault: Vault, batch: int) -> int:
    with vault.transaction("change") as session:
        ring = vault.reload_keys(session)
        rows = _old_rows(session, ring.generation, batch)
        changed = [
            (ring.generation, ring.wrap_subject(ring.unwrap_subject(row), bytes(row[0]), row[2]), row[0])
            for row in rows
        ]
        session.run_many("UPDATE subjects SET generation = ?, wrapped = ? WHERE lookup = ?", changed)
    return len(rows)


def _finish(vault: Vault, principal: str, rows: int) -> bool:
    """Drop the old data keys; False, and nothing is dropped, if another rotation has begun since the last batch."""
    with vault.transaction("change") as session:
        ring = vault.reload_keys(session)
        if _old_rows(session, ring.generation, 1):
            return False
        vault.record(session, "rotate-key", {"key_id": ring.key_id, "principal": principal, "rows": rows})
        rings.drop_generations(session, rings.generations(session)[:-1])
        vault.reload_keys(session)
    return True


def _old_rows(session: Session, generation: int, limit: int) -> list[tuple[bytes, str, str, int, bytes]]:
    rows = session.rows(
        "SELECT lookup, subject_id, kind, generation, wrapped FROM subjects WHERE generation < ? LIMIT ?",
        (generation, limit),
    )
    return [(bytes(row[0]), row[1], row[2], row[3], bytes(row[4])) for row in rows]
