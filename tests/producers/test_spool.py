"""The spool: whatever is cut off, a whole prefix is read, never garbage."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.producers.spool import Spool, Spooled, SpoolFull, adopt, frame, unframe

EVENTS = st.lists(st.builds(Spooled, st.binary(max_size=20), st.binary(max_size=60)), max_size=8)


@given(EVENTS, st.integers(0, 10_000))
def test_any_cut_leaves_a_whole_prefix(events: list[Spooled], cut: int) -> None:
    data = b"".join(map(frame, events))
    found = list(unframe(data[: cut % (len(data) + 1)]))
    assert found == events[: len(found)]
    assert list(unframe(data)) == events


@given(EVENTS.filter(bool), st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_never_read_as_an_event(events: list[Spooled], at: int, flip: int) -> None:
    data = bytearray(b"".join(map(frame, events)))
    data[at % len(data)] ^= flip
    assert all(event in events for event in unframe(bytes(data)))


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", 1000)
    spool.append(Spooled(b"k", b"v"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in spool.folder.iterdir()}
    assert (stat.S_IMODE(spool.folder.stat().st_mode), modes) == (0o700, {0o600})


def test_the_bound_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    event = Spooled(b"k", b"v" * 40)
    spool.append(event)
    with pytest.raises(SpoolFull, match="bound of 100 bytes"):
        spool.append(Spooled(b"k", b"v" * 60))
    spool.seal()
    assert [list(unframe(s.read_bytes())) for s in spool.segments()] == [[event]]


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    spool.append(Spooled(b"k", b"v"))
    assert spool._file is not None
    os.close(spool._file)
    spool._file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(SpoolFull, match="No space left"):
        spool.append(Spooled(b"k", b"v"))


def test_only_what_ended_is_adopted(tmp_path: Path) -> None:
    gone, alive = Spool(tmp_path, 1000), Spool(tmp_path, 1000)
    gone.append(Spooled(b"gone", b"1"))
    alive.append(Spooled(b"alive", b"2"))
    gone.close()
    found = [event for segment in adopt(tmp_path, Path()) for event in unframe(segment.read_bytes())]
    assert found == [Spooled(b"gone", b"1")]
    for segment in adopt(tmp_path, Path()):
        segment.unlink()
    assert [folder.name for folder in tmp_path.iterdir()] == [alive.folder.name]
