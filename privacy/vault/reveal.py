"""Opening a sealed value for a person who may see it. The audit event is on disk before the value is given."""

from __future__ import annotations

from proventrail.privacy.vault.errors import SealError
from proventrail.privacy.vault.records import open_record
from proventrail.privacy.vault.seal import subject_of, unseal
from proventrail.privacy.vault.vault import Vault


def reveal(vault: Vault, token: str, principal: str, *, event_id: str, path: str) -> str:
    """The text in a token. Raises SealError if it was erased, or does not belong to that event and path."""
    subject_id = subject_of(token)
    key = vault.key_of([subject_id]).get(subject_id)
    if key is None:
        raise SealError(f"the vault has no subject {subject_id}: it was erased, or is of another vault")
    text = unseal(token, key, event_id=event_id, path=path)
    with vault.transaction("change") as session:
        details = {"subject": subject_id, "event_id": event_id, "path": path, "principal": principal}
        vault.record(session, "reveal", details)
    return text


def reveal_record(vault: Vault, sealed: bytes, principal: str, *, topic_id: str, partition: int, offset: int) -> bytes:
    """The value of a dead letter. Raises SealError as `open_record` does."""
    value = open_record(vault, sealed, topic_id, partition, offset, "value")
    with vault.transaction("change") as session:
        details = {"raw_topic_id": topic_id, "raw_partition": partition, "raw_offset": offset, "principal": principal}
        vault.record(session, "reveal-dead-letter", details)
    return value
