"""A partition of the sink: where chunks are cut, and that a replay cuts as it was announced."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.storage.sink.partition import SinkPartition
from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.writer import Chunk, Written

TOPIC, TOPIC_ID = "refined", "11111111-1111-1111-1111-111111111111"


@dataclass(frozen=True)
class Record:
    """What SinkPartition asks of a message of Kafka's client, whose class cannot be made by hand."""

    at: int

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return f"v{self.at}".encode()

    def key(self) -> bytes:
        return f"k{self.at % 3}".encode()

    def timestamp(self) -> tuple[int, int]:
        return 1, 1000 + self.at

    def __len__(self) -> int:
        return len(self.value())


class Nowhere:
    """A writer that has nothing to do."""

    def open(self, pending: Pending | None) -> None:
        self.pending = pending

    def marks(self) -> dict[str, int]:
        return {TOPIC_ID: 7}

    def write(self, chunk: Chunk, *, replay: bool) -> Written:
        raise AssertionError("not asked for")


def partition(position: int, pending: Pending | None = None) -> SinkPartition:
    held = SinkPartition(TOPIC, TOPIC_ID, 0, position, pending, Nowhere())
    held.open()
    return held


def fill(held: SinkPartition, offsets: list[int], portions: list[int]) -> None:
    """Give the records in portions of these sizes, the rest at once."""
    records = [Record(offset) for offset in offsets]
    for size in portions:
        part, records = records[:size], records[size:]
        held.add(part, sum(map(len, part)), now=0.0)
    held.add(records, sum(map(len, records)), now=0.0)


# A log has holes where transactions were marked or compaction went.
logs = st.sets(st.integers(0, 300), min_size=1).map(sorted)
portions = st.lists(st.integers(1, 40), max_size=8)


@given(log=logs, first=portions, again=portions, rows=st.integers(1, 50), other_rows=st.integers(1, 50))
def test_a_replay_is_cut_as_it_was_announced(
    log: list[int], first: list[int], again: list[int], rows: int, other_rows: int
) -> None:
    """However the records come, and whatever the bounds of the sink that replays: the same chunk and token."""
    held = partition(log[0])
    fill(held, log, first)
    announced = Pending.from_metadata(Pending(held.next_end(rows), held.writer.marks()).to_metadata())
    chunk = held.take(0.0, rows)

    replayed = partition(log[0], announced)
    fill(replayed, log, again)
    assert replayed.is_due(0.0, linger=9.0, busy_linger=9.0, max_rows=10**9, max_bytes=10**9)
    same = replayed.take(0.0, other_rows)
    assert same == chunk
    assert same.token("events") == chunk.token("events")


@given(log=logs, sizes=portions, rows=st.integers(1, 50))
def test_chunks_cover_the_log_without_overlap_and_with_tokens_of_their_own(
    log: list[int], sizes: list[int], rows: int
) -> None:
    held = partition(log[0])
    fill(held, log, sizes)
    chunks: list[Chunk] = []
    while held.buffered_bytes:
        now = 1.0 + len(chunks)
        assert held.is_due(now, linger=0.5, busy_linger=0.5, max_rows=rows, max_bytes=10**9)
        chunks.append(held.take(now, rows))
        assert not held.is_due(now + 9.0, linger=0.5, busy_linger=0.5, max_rows=rows, max_bytes=10**9), (
            "one chunk at a time"
        )
        held.written(chunks[-1])
    assert [offset for chunk in chunks for offset in chunk.offsets] == log
    assert all(len(chunk.offsets) <= rows for chunk in chunks)
    assert [chunk.start for chunk in chunks[1:]] == [chunk.end for chunk in chunks[:-1]]
    assert len({chunk.token("events") for chunk in chunks}) == len(chunks)


def test_an_announced_insert_waits_until_all_of_it_is_there() -> None:
    held = partition(10, Pending(20))
    held.add([Record(offset) for offset in range(10, 19)], 9, now=0.0)
    assert not held.is_due(100.0, linger=0.5, busy_linger=0.5, max_rows=1, max_bytes=1)
    held.add([Record(19)], 1, now=0.0)
    assert held.is_due(100.0, linger=0.5, busy_linger=0.5, max_rows=1, max_bytes=1)


@pytest.mark.parametrize(("now", "rows", "size"), [(0.5, 100, 100), (0.0, 3, 100), (0.0, 100, 6)])
def test_a_chunk_is_due_by_age_rows_or_bytes(now: float, rows: int, size: int) -> None:
    held = partition(0)
    held.add([Record(offset) for offset in range(3)], 6, now=0.0)
    assert not held.is_due(0.0, linger=0.5, busy_linger=0.5, max_rows=100, max_bytes=100)
    assert held.is_due(now, linger=0.5, busy_linger=0.5, max_rows=rows, max_bytes=size)


def test_nothing_is_due_before_it_is_known_what_is_stored() -> None:
    held = SinkPartition(TOPIC, TOPIC_ID, 0, 0, None, Nowhere())
    held.add([Record(0)], 2, now=0.0)
    assert not held.is_due(100.0, linger=0.5, busy_linger=0.5, max_rows=1, max_bytes=1)


@pytest.mark.parametrize(("records", "due"), [(999, True), (1_000, False)])
def test_many_records_wait_longer_than_few(records: int, due: bool) -> None:
    held = partition(0)
    fill(held, list(range(records)), [records])
    assert held.is_due(0.5, linger=0.5, busy_linger=1.0, max_rows=10**9, max_bytes=10**9) is due
    assert held.is_due(1.0, linger=0.5, busy_linger=1.0, max_rows=10**9, max_bytes=10**9)
