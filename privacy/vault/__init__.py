"""The subject vault: pseudonyms that can be erased, and keys for what is sealed.

Values become subjects (`Vault.subjects`), columns of the log hold the subject's id, reversible fields hold what
`seal` makes of them. When a subject is erased its row is gone: the id means nothing any more, and what was sealed does
not open.
"""

from __future__ import annotations

from proventrail.privacy.vault.errors import Refused, SealError, VaultError
from proventrail.privacy.vault.keys import EnvKeys, FileKeys, KeyProvider, key_provider
from proventrail.privacy.vault.subject import Subject
from proventrail.privacy.vault.vault import Vault, open_vault, repair_vault
from proventrail.privacy.vault.witness import Tombstone

__all__ = [
    "EnvKeys",
    "FileKeys",
    "KeyProvider",
    "Refused",
    "SealError",
    "Subject",
    "Tombstone",
    "Vault",
    "VaultError",
    "key_provider",
    "open_vault",
    "repair_vault",
]
