"""The journal: an append-only, hash-chained file of what was done with the vault, beside the database and not in it.

It is three things at once. The *audit events* of the vault wait in it until the pipeline has them. Its erasures are
the *tombstones*: a database that was restored from before an erasure disagrees with the journal and is not opened. And
it is written *before* the database changes, so what is in force is in the journal, whenever the power goes.

A line is JSON: `sequence` (from 0), `previous` (hash of the line before), `event` (OpenLineage), `hash`: SHA-256 of the
canonical JSON of the other three. `FILE.sent` holds how many lines the pipeline has.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proventrail.privacy.vault.errors import VaultError
from proventrail.privacy.vault.private_files import (
    check_private,
    private_folder,
    read_private,
    sync_folder,
    write_private,
)

NAMESPACE = "proventrail"
FACET = "proventrail_privacy"
_PRODUCER = "https://github.com/proventrail/proventrail"
_SCHEMA_URL = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
_FACET_SCHEMA = f"{_PRODUCER}/schemas/{FACET}.json"
_NOTHING = "0" * 64
_TAIL = 1 << 16

Event = dict[str, Any]
Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """A time of UTC as the events and tables of the vault have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def audit_event(action: str, time: str, details: Mapping[str, object]) -> Event:
    """An OpenLineage JobEvent of the job `proventrail privacy.ACTION`; `details` become its facet."""
    facet = {"_producer": _PRODUCER, "_schemaURL": _FACET_SCHEMA, "action": action, **details}
    return {
        "eventTime": time,
        "producer": _PRODUCER,
        "schemaURL": _SCHEMA_URL,
        "job": {"namespace": NAMESPACE, "name": f"privacy.{action}", "facets": {FACET: facet}},
        "inputs": [],
        "outputs": [],
    }


@dataclass(frozen=True)
class Entry:
    """A line of the journal."""

    sequence: int
    hash: str
    event: Event

    @property
    def facet(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.event["job"]["facets"][FACET]
        return found


@dataclass
class State:
    """What the journal says is in force: erased subject id -> time, held subject id -> its facet."""

    erased: dict[str, str] = field(default_factory=dict)
    held: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def state_of(entries: list[Entry]) -> State:
    state = State()
    for entry in entries:
        action, subject = entry.facet["action"], entry.facet.get("subject", "")
        if action in ("erase", "tombstone"):
            state.erased[subject] = entry.facet["erased_at"]
            state.held.pop(subject, None)
        elif action == "hold.add":
            state.held[subject] = entry.facet
        elif action == "hold.remove":
            state.held.pop(subject, None)
    return state


def _parsed(line: bytes) -> Entry:
    try:
        found = json.loads(line)
        return Entry(found["sequence"], found["hash"], found["event"])
    except (ValueError, KeyError, TypeError):
        raise VaultError("the vault's journal was changed: a line of it is none") from None


def _hash(sequence: int, previous: str, event: Event) -> str:
    text = json.dumps([sequence, previous, event], separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """The journal at `path` (mode 0600), which is made by the first `append`. `now` gives the time of events."""

    def __init__(self, path: Path, now: Now = utc_now) -> None:
        self.path = path
        self.now = now
        private_folder(path.parent)

    def entries(self) -> list[Entry]:
        """All lines. Raises VaultError if the chain is broken: a line was changed, removed or added by other means."""
        text = read_private(self.path) or ""
        # What follows the last line end is a line that a crash cut off: it never counted.
        return self._verified(text[: text.rfind("\n") + 1].split("\n")[:-1])

    def _verified(self, lines: list[str]) -> list[Entry]:
        entries: list[Entry] = []
        previous = _NOTHING
        for number, line in enumerate(lines):
            try:
                found = json.loads(line)
                entry = Entry(found["sequence"], found["hash"], found["event"])
                whole = (entry.sequence, found["previous"], entry.hash) == (
                    number,
                    previous,
                    _hash(number, previous, entry.event),
                )
                whole = whole and isinstance(entry.facet["action"], str)
            except (ValueError, KeyError, TypeError):
                whole = False
            if not whole:
                raise VaultError(f"{self.path}, line {number + 1}: the chain is broken, the journal was changed")
            entries.append(entry)
            previous = entry.hash
        return entries

    @property
    def id(self) -> str:
        """Which journal this is: the hash of its first line; "" if it has none."""
        try:
            with self.path.open("rb") as file:
                return _parsed(file.readline()).hash
        except FileNotFoundError:
            return ""

    @contextmanager
    def _locked(self) -> Iterator[int]:
        made = not self.path.exists()
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            check_private(self.path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
            os.fsync(handle)
        finally:
            os.close(handle)
        if made:
            sync_folder(self.path.parent)

    def append(self, action: str, details: Mapping[str, object]) -> Entry:
        """Add an event, durably; gives its entry. `details` must hold subject ids and never a value."""
        with self._locked() as handle:
            last = self._last(handle) or self._write(handle, None, "journal", {"journal": secrets.token_hex(16)})
            return self._write(handle, last, action, details)

    def _last(self, handle: int) -> Entry | None:
        """The last line, once what a crash cut off is removed behind it."""
        size = os.fstat(handle).st_size
        reach = _TAIL
        while True:
            start = max(0, size - reach)
            tail = os.pread(handle, reach, start)
            end = tail.rfind(b"\n") + 1
            begin = tail.rfind(b"\n", 0, end - 1) + 1 if end else 0
            if begin or not start:
                break
            reach *= 2
        os.ftruncate(handle, start + end)
        return _parsed(tail[begin:end]) if end else None

    def _write(self, handle: int, last: Entry | None, action: str, details: Mapping[str, object]) -> Entry:
        sequence, previous = (last.sequence + 1, last.hash) if last else (0, _NOTHING)
        # The number makes two events of one moment two.
        event = audit_event(action, stamp(self.now()), {"sequence": sequence, **details})
        entry = Entry(sequence, _hash(sequence, previous, event), event)
        line = {"sequence": sequence, "previous": previous, "event": event, "hash": entry.hash}
        data = (json.dumps(line, separators=(",", ":")) + "\n").encode()
        while data:
            data = data[os.write(handle, data) :]
        return entry

    # -- to the pipeline -----------------------------------------------------------------------------------------------

    @property
    def _sent_path(self) -> Path:
        return self.path.with_name(self.path.name + ".sent")

    def unsent(self) -> list[Entry]:
        """Entries that the pipeline does not have yet."""
        text = read_private(self._sent_path) or "0"
        sent = int(text) if text.strip().isdecimal() else 0
        return self.entries()[sent:]

    def send(self, publish: Callable[[Event], object], flush: Callable[[], bool]) -> int:
        """Give `publish` what waits; count it as sent if `flush` says that all of it arrived. Gives how many did.

        An event that is sent twice has one event id, by which the pipeline stores it once.
        """
        waiting = self.unsent()
        for entry in waiting:
            publish(entry.event)
        if not waiting or not flush():
            return 0
        write_private(self._sent_path, f"{waiting[-1].sequence + 1}\n", replace=True)
        return len(waiting)
