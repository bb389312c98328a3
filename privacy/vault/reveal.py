"""Opening a sealed value for a person who may see it. The audit event is on disk before the value is given."""

from __future__ import annotations

from proventrail.privacy.vault.errors import SealError
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
