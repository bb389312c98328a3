"""Files that only their owner may read, in folders that only their owner may enter."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from proventrail.privacy.vault.errors import VaultError


def private_folder(folder: Path) -> Path:
    """The folder, made with mode 0700 where it is missing. Raises VaultError if others may enter it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise VaultError(f"others may enter {folder} (mode {mode:04o}): run `chmod 700 {folder}`")
    return folder


def check_private(path: Path) -> None:
    """Raises VaultError if others may read or write the file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise VaultError(f"others may read {path} (mode {mode:04o}): run `chmod 600 {path}`")


def read_private(path: Path) -> str | None:
    """The text of a file, None if there is none. Raises VaultError if others may read it, or it can't be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VaultError(f"{path} can't be read ({error.strerror}): it must be a plain file of yours") from None
    with os.fdopen(handle, encoding="utf-8") as file:
        check_private(path)
        try:
            return file.read()
        except UnicodeDecodeError:
            raise VaultError(f"{path} is damaged: it is no text. Restore it from a backup") from None


def write_private(path: Path, text: str, *, replace: bool) -> bool:
    """Write the file whole or not at all, durably, with mode 0600; False if it was there and `replace` is not set."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            draft.rename(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
        sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make names that were added to the folder, or taken from it, outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
