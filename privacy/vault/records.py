"""Records that were refused, sealed whole: they hold what their producers sent, and belong to no one subject.

Key and value of each are sealed under one key of the vault, the purpose `dead-letters`, bound to their raw coordinate.
"""

from __future__ import annotations

from typing import Literal

from proventrail.privacy.vault.errors import SealError
from proventrail.privacy.vault.seal import seal_bytes, subject_of_bytes, unseal_bytes
from proventrail.privacy.vault.vault import Vault

Part = Literal["key", "value"]

PURPOSE = "dead-letters"


def _coordinate(topic_id: str, partition: int, offset: int) -> str:
    return f"{topic_id}/{partition}/{offset}"


def seal_record(vault: Vault, data: bytes, topic_id: str, partition: int, offset: int, part: Part) -> bytes:
    """Key or value of the raw record at a coordinate, sealed; the same bytes each time. Raises VaultError."""
    return seal_bytes(vault.purpose_key(PURPOSE), data, event_id=_coordinate(topic_id, partition, offset), path=part)


def open_record(vault: Vault, sealed: bytes, topic_id: str, partition: int, offset: int, part: Part) -> bytes:
    """What `seal_record` sealed. Raises SealError if it is of another vault, place or part; VaultError."""
    subject_id = subject_of_bytes(sealed)
    key = vault.key_of([subject_id]).get(subject_id)
    if key is None:
        raise SealError("the record was sealed by another vault than this one")
    return unseal_bytes(sealed, key, event_id=_coordinate(topic_id, partition, offset), path=part)
