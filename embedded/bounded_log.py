"""A child's output in a file that does not grow without end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

DEFAULT_LIMIT = 16 << 20
"""Bytes of the current file; with its predecessor a log takes about twice that."""


@dataclass(frozen=True)
class BoundedLog:
    """`path` and, once it was over `limit` bytes, its predecessor `path` + `.1`.

    The child writes to the file itself (no pipe that would block it when we are busy or gone), so the file is copied
    and emptied rather than renamed; what is written between the two is lost. The child's end is in append mode and
    goes on at the new end.
    """

    path: Path
    limit: int = DEFAULT_LIMIT

    def open(self) -> BinaryIO:
        """The file to append to; folders are made, and the bound is kept first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.bound()
        return self.path.open("ab")

    def bound(self) -> None:
        """Keep the last `limit` bytes as predecessor and start anew, if the file is over its limit."""
        if not self.path.exists() or self.path.stat().st_size <= self.limit:
            return
        self.path.with_name(f"{self.path.name}.1").write_bytes(self._tail(self.limit))
        with self.path.open("r+b") as log:
            log.truncate(0)

    def _tail(self, size: int) -> bytes:
        with self.path.open("rb") as log:
            log.seek(max(0, self.path.stat().st_size - size))
            return log.read(size)

    def last_lines(self, count: int = 5) -> str:
        """The last lines for an error message, without the frames of stack traces; empty when nothing was written."""
        if not self.path.exists():
            return ""
        lines = self._tail(16 << 10).decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.strip() and not line[0].isspace()][-count:])
