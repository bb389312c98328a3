"""Who emits, and how its events are numbered."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time


def default_emitter_id() -> str:
    """Service (PROVENTRAIL_SERVICE, else the host's name) and process."""
    return f"{os.environ.get('PROVENTRAIL_SERVICE') or socket.gethostname()}-{os.getpid()}"


class EventIds:
    """Event ids of one emitter epoch: UUIDv8 (RFC 9562, 5.8) of emitter and sequence.

    The 60 bits of the first two custom fields are the start of SHA-256(emitter id, U+0000, epoch); the 62 bits of the
    last one are the sequence. So an id needs no randomness, compresses well, and tells deliveries of one event.
    """

    def __init__(self, emitter_id: str, epoch: int) -> None:
        digest = hashlib.sha256(f"{emitter_id}\0{epoch}".encode()).hexdigest()
        self._prefix = f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-"

    def id_of(self, sequence: int) -> str:
        """The id of the event with that sequence number: the same however often it is sent."""
        low = f"{sequence | 0x8000000000000000:016x}"
        return f"{self._prefix}{low[:4]}-{low[4:]}"


def uuid7() -> str:
    """A UUID of version 7 (RFC 9562, 5.7): milliseconds, then random: runs near in time are near in the log."""
    n = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{n:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
