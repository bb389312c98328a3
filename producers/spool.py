"""Events on disk while the broker is away: bounded, in order, readable after kill -9.

A spool is a folder of one process: `lock` (held as long as the process lives) and segments `NNNNNNNN.spool`, written at
the end and deleted as a whole once the broker has all of their events. A frame is the length of its content and the
content's CRC-32 (4 bytes each, little-endian), then the length of the key (2 bytes), key and value. A torn frame at the
end of a segment is what a crash left of an event that nobody was told is safe; reading stops there.

Files are 0600: events may hold personal data. They are synced at most every `_SYNC_SECONDS`, so a power cut may lose
what came since; a crash of the process loses nothing.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("<II")
_KEY = struct.Struct("<H")
_SEGMENT_BYTES = 4 << 20
_SYNC_SECONDS = 1.0
_SUFFIX = ".spool"


class SpoolFull(Exception):
    """The spool has reached its bound, or its disk has: the event is not kept."""


class Spooled(NamedTuple):
    """An event as it was to be produced."""

    key: bytes
    value: bytes


def frame(event: Spooled) -> bytes:
    """An event as it lies in a segment; `unframe` reads it."""
    content = _KEY.pack(len(event.key)) + event.key + event.value
    return _HEAD.pack(len(content), zlib.crc32(content)) + content


def unframe(data: bytes) -> Iterator[Spooled]:
    """The events of a segment, up to its end or to the first frame that is not whole."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, at)
        content = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(content) < max(length, _KEY.size) or zlib.crc32(content) != crc:
            return
        (key_length,) = _KEY.unpack_from(content)
        body = content[_KEY.size :]
        yield Spooled(body[:key_length], body[key_length:])
        at += _HEAD.size + length


class Spool:
    """The spool of this process below `root`. Not thread-safe: the emitter's lock guards it."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = root / f"{os.getpid()}-{time.time_ns():x}"
        self.folder.mkdir(mode=0o700)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._file: int | None = None
        self._file_bytes = 0
        self._synced = 0.0
        self._number = 0
        self.bytes = 0

    def append(self, event: Spooled) -> None:
        """Keep `event` behind all others. Raises SpoolFull if there is no room, or the disk does not take it."""
        data = frame(event)
        if self.bytes + len(data) > self._max_bytes:
            raise SpoolFull(f"the spool has reached its bound of {self._max_bytes} bytes")
        try:
            if self._file is None or self._file_bytes >= _SEGMENT_BYTES:
                self._next_segment()
            assert self._file is not None
            written = os.write(self._file, data)
            if written < len(data):
                os.ftruncate(self._file, self._file_bytes)
                raise SpoolFull("the disk of the spool is full")
        except OSError as error:
            raise SpoolFull(f"the spool cannot be written: {error.strerror}") from error
        self._file_bytes += len(data)
        self.bytes += len(data)
        self.sync(now=time.monotonic())

    def _next_segment(self) -> None:
        self.seal()
        self._number += 1
        path = self.folder / f"{self._number:08d}{_SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file_bytes = 0

    def sync(self, now: float) -> None:
        """Have the disk take what was written, if the last time is long enough ago."""
        if self._file is not None and now - self._synced >= _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = now

    def seal(self) -> None:
        """End the current segment: it may be drained now."""
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def segments(self) -> list[Path]:
        """Segments that can be drained, oldest first; the one that is being written is not among them."""
        found = sorted(self.folder.glob(f"*{_SUFFIX}"))
        return found[:-1] if self._file is not None else found

    def drained(self, segment: Path) -> None:
        """Delete a segment whose events the broker has."""
        self.bytes -= segment.stat().st_size
        segment.unlink()

    def close(self) -> None:
        """Let go of the folder; it goes too if it is empty, else the next process adopts it."""
        self.seal()
        if not self.segments():
            (self.folder / "lock").unlink(missing_ok=True)
            self.folder.rmdir()
        os.close(self._lock)


def adopt(root: Path, own: Path) -> Iterator[Path]:
    """Segments of processes that have ended, oldest first, each folder locked while it is worked through.

    The caller deletes a segment once the broker has its events; empty folders are removed.
    """
    for folder in sorted(root.iterdir() if root.exists() else [], key=lambda f: f.name.partition("-")[2]):
        if folder == own or not folder.is_dir():
            continue
        try:
            lock = os.open(folder / "lock", os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield from sorted(folder.glob(f"*{_SUFFIX}"))
            if not list(folder.glob(f"*{_SUFFIX}")):
                (folder / "lock").unlink(missing_ok=True)
                folder.rmdir()
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
