"""The anonymise step of refine, put together: policy, detection, vault."""

from __future__ import annotations

from pathlib import Path

from proventrail.privacy.detect import Detector
from proventrail.privacy.normalise import normalise
from proventrail.privacy.policy.policy import Policy, default_policy, read_policy
from proventrail.privacy.spans import KINDS
from proventrail.privacy.vault import Vault, VaultError
from proventrail.privacy.vault.records import seal_record
from proventrail.privacy.vault.seal import seal
from proventrail.stream_processors.refine import Place, Protect
from proventrail.stream_processors.steps.anonymise import Anonymiser


def policy_of(file: Path | None) -> Policy:
    """The policy of a YAML file, or the one that ships. Raises PolicyError with file, line and reason."""
    groups = {kind.name: kind.group for kind in KINDS.values()}
    return read_policy(file, groups) if file else default_policy(groups)


def anonymiser(policy: Policy, vault: Vault) -> Anonymiser:
    """The step that refine runs."""
    return Anonymiser(policy, Detector(), normalise, vault, seal, quotable=(VaultError,))


def sealing(vault: Vault) -> Protect:
    """Dead letters hold records as they came: sealed, they can be read by those who may reveal."""

    def protect(data: bytes | None, place: Place) -> bytes | None:
        return None if data is None else seal_record(vault, data, *place)

    return protect
