"""Who may do what: principals with roles, each proven by a token of which only the SHA-256 is kept.

Tokens have 256 random bits, so a plain hash of one cannot be guessed back; a slow hash is for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from proventrail.privacy.vault.errors import Refused, VaultError
from proventrail.privacy.vault.private_files import private_folder, read_private, write_private

PRINCIPALS_FILE = "principals.json"
Role = Literal["approver", "revealer", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class Principal:
    """A person or service. approver: erasures, legal holds, key rotation; revealer: sealed values; auditor: `find`."""

    name: str
    roles: tuple[Role, ...]
    token_sha256: str


class Principals:
    """The principals in a file with mode 0600. Methods raise VaultError if others may read it, or it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[Principal]:
        text = read_private(self.path)
        if text is None:
            return []
        try:
            return [Principal(one["name"], tuple(one["roles"]), one["token_sha256"]) for one in json.loads(text)]
        except (ValueError, KeyError, TypeError):
            raise VaultError(f"{self.path} is no file of principals: restore it, or remove it to begin anew") from None

    def _save(self, principals: list[Principal]) -> None:
        private_folder(self.path.parent)
        rows = [{"name": p.name, "roles": list(p.roles), "token_sha256": p.token_sha256} for p in principals]
        write_private(self.path, json.dumps(rows, indent=1) + "\n", replace=True)

    def add(self, name: str, roles: tuple[Role, ...], before: Callable[[Principal], object] = lambda _: None) -> str:
        """Add a principal and give its token, which is nowhere kept. `before` is called when all is right, and before
        the file changes. Raises Refused if the name is taken or unfit."""
        if not _NAME.fullmatch(name):
            raise Refused("a principal's name has up to 64 letters, digits and . _ @ -")
        if not roles or not set(roles) <= set(ROLES):
            raise Refused(f"a principal has one or more of the roles {', '.join(ROLES)}")
        found = self.all()
        if any(principal.name == name for principal in found):
            raise Refused(f"there is a principal {name} already: remove it first to give it another token or role")
        token = secrets.token_urlsafe(32)
        added = Principal(name, tuple(sorted(set(roles))), _digest(token))
        before(added)
        self._save([*found, added])
        return token

    def remove(self, name: str, before: Callable[[], object] = lambda: None) -> None:
        """As `add`. Raises Refused if there is no such principal."""
        found = self.all()
        if all(principal.name != name for principal in found):
            raise Refused(f"there is no principal {name}")
        before()
        self._save([principal for principal in found if principal.name != name])

    def authenticate(self, name: str, token: str, *roles: Role) -> Principal:
        """The principal, if the token is its and it has one of `roles`. Raises Refused, for a wrong name as for a wrong
        token."""
        found = next((principal for principal in self.all() if principal.name == name), None)
        # An unknown name takes as long as a wrong token.
        right = hmac.compare_digest(_digest(token), found.token_sha256 if found else _digest(""))
        if found is None or not right:
            raise Refused(f"the token does not prove that you are {name}")
        if not set(roles) & set(found.roles):
            raise Refused(f"{name} needs the role {' or '.join(roles)}")
        return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
