"""Write a `.env` for docker-compose.yml: `.env.example` with a new random value for each name that is empty there, but
`VAULT_KEY_OLD`, which a rotation fills.

Run it once: `python3 deploy/new_env.py [FILE]`. It needs Python alone, and replaces no file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_HASH = "_SHA256"


def cluster_id() -> str:
    """A random UUID in Kafka's spelling: 22 characters of URL-safe base64, no dash at the start."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _vault_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _password() -> str:
    return secrets.token_hex(32)


_MAKE = {"KAFKA_CLUSTER_ID": cluster_id, "VAULT_KEY": _vault_key, "VAULT_KEY_OLD": str}


def filled(example: str) -> str:
    """`example` with a value for each empty name; NAME_SHA256 is that of NAME, which must stand before it."""
    values: dict[str, str] = {}
    lines = []
    for line in example.splitlines():
        name, separator, value = line.partition("=")
        if separator and not value and not line.startswith("#"):
            if name.endswith(_HASH):
                value = hashlib.sha256(values[name.removesuffix(_HASH)].encode()).hexdigest()
            else:
                value = _MAKE.get(name, _password)()
            values[name] = value
            line = f"{name}={value}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, readable by its owner alone; exit code 1 if it is there."""
    path = Path(arguments[0]) if arguments else ROOT / ".env"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"error: {path} is there: new passwords would lock the pipeline out of its data", file=sys.stderr)
        return 1
    with os.fdopen(handle, "w") as file:
        file.write(filled((ROOT / ".env.example").read_text()))
    print(f"wrote {path}; keep a copy where your secrets are kept")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
