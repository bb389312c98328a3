"""The access token, asked for by every request that writes or reads events.

It is made on the first start and kept in `DATA_DIR/token`. Where secrets come by environment, as in containers,
PROVENTRAIL_TOKEN is the token, and no file is read or written.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

TOKEN_FILE = "token"
TOKEN_VARIABLE = "PROVENTRAIL_TOKEN"
_MIN_CHARACTERS = 20


class TokenError(Exception):
    """The token file is not as it must be; the text says what to do."""


def ensure_token(data_dir: Path) -> tuple[str, bool]:
    """The token of PROVENTRAIL_TOKEN, else that of `data_dir`, and whether it was made just now.

    A new one is written with mode 0600 under another name and then linked to its place, so that no other process ever
    sees a part of it and, of two that start at once, both get the same one. Raises TokenError.
    """
    if TOKEN_VARIABLE in os.environ:
        return read_token(data_dir), False
    path = data_dir / TOKEN_FILE
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.path.lexists(path):
        return read_token(data_dir), False
    token = secrets.token_urlsafe(32)
    draft = data_dir / f".{TOKEN_FILE}.{secrets.token_hex(8)}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return read_token(data_dir), False
    finally:
        draft.unlink()
    return token, True


def read_token(data_dir: Path) -> str:
    """The token of PROVENTRAIL_TOKEN, else that of `data_dir`.

    Raises TokenError if there is none, if others may read the file, or if it is too short.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None:
        if not _is_token(given):
            raise TokenError(f"{TOKEN_VARIABLE} holds no token of {_MIN_CHARACTERS} or more characters")
        return given
    path = data_dir / TOKEN_FILE
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise TokenError(f"there is no token in {data_dir}: start Proventrail once, it makes one") from None
    except OSError as error:
        raise TokenError(f"{path} can't be read ({error.strerror}): it must be a plain file of yours") from None
    with os.fdopen(handle) as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise TokenError(f"others may read {path} (mode {mode:04o}): run `chmod 600 {path}`, or delete it")
        token = file.read().strip()
    if not _is_token(token):
        raise TokenError(f"{path} holds no token of {_MIN_CHARACTERS} or more characters: delete it to get a new one")
    return token


def _is_token(text: str) -> bool:
    return len(text) >= _MIN_CHARACTERS and text.isascii() and not any(c.isspace() for c in text)


def bearer_matches(header: bytes | None, token: bytes) -> bool:
    """Whether an `Authorization` header carries the token; takes the same time wherever the two differ."""
    if header is None:
        return False
    scheme, _, given = header.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token)
