"""What can go wrong with the vault. No text holds a value, a key or the password of a URL."""

from __future__ import annotations


class VaultError(Exception):
    """The vault is unreachable, locked, damaged, or its key is wrong or missing: whoever needs it must stop."""


class Refused(VaultError):
    """A rule forbids what was asked: a legal hold, a missing role, an approval by the same principal."""


class SealError(Exception):
    """A sealed value does not open: it is altered, of another place, or under another key."""
