"""Proof of delivery: holes, doubles, what expired, on rows that are put into the tables as they are."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from proventrail.storage.delivery import Hole, PartitionDelivery, partition_delivery
from proventrail.storage.dialect import Dialect
from proventrail.storage.store import ClientStore

from .conftest import TOPIC_ID

OTHER_ID = "22222222-2222-4333-8444-555555555555"


class Rows:
    """Rows with nothing but coordinates, and the account of them."""

    def __init__(self, store: ClientStore, dialect: Dialect) -> None:
        self._store, self._dialect = store, dialect

    def put(self, table: str, offsets: Iterable[int], *, topic_id: str = TOPIC_ID, partition: int = 0) -> None:
        rows = ", ".join(f"('{topic_id}', 'lineage.events', {partition}, {offset})" for offset in offsets)
        columns = "raw_topic_id, raw_topic, raw_partition, raw_offset"
        self._store.command(f"INSERT INTO {self._dialect.name(table)} ({columns}) VALUES {rows}")

    def expire(self, first: int, last: int) -> None:
        """The dead letter that refine writes for records that it found removed."""
        message = f"records {first} to {last} were removed by retention before they were read: longer retention"
        self._store.command(
            f"INSERT INTO {self._dialect.name('dead_letters')} "
            "(raw_topic_id, raw_partition, raw_offset, reason, message) "
            f"VALUES ('{TOPIC_ID}', 0, {first}, 'expired', '{message}')"
        )

    def account(self, end: int, partition: int = 0) -> PartitionDelivery:
        database = self._dialect.database
        return partition_delivery(self._store, database, "lineage.events", TOPIC_ID, partition, end)


@pytest.fixture
def rows(store: ClientStore, dialect: Dialect) -> Rows:
    return Rows(store, dialect)


def test_events_duplicates_and_dead_letters_cover_offsets_together(rows: Rows) -> None:
    rows.put("events", [0, 1, 4])
    rows.put("duplicate_deliveries", [2])
    rows.put("dead_letters", [3, 5])
    found = rows.account(6)
    assert (found.events, found.duplicates, found.dead_letters) == (3, 1, 2)
    assert (found.doubled, found.holes, found.expired, found.end) == (0, (), (), 6)


def test_a_topic_without_records_and_one_without_rows(rows: Rows) -> None:
    assert rows.account(0).holes == ()
    assert rows.account(5).holes == (Hole(0, 4),)


def test_holes_at_the_start_within_and_at_the_end(rows: Rows) -> None:
    rows.put("events", [2, 3, 5, 9])
    assert rows.account(12).holes == (Hole(0, 1), Hole(4, 4), Hole(6, 8), Hole(10, 11))


def test_rows_beyond_the_end_that_was_asked_for_are_no_matter(rows: Rows) -> None:
    rows.put("events", [0, 1, 2, 7])
    assert rows.account(2).holes == ()
    assert rows.account(3).holes == ()
    assert rows.account(5).holes == (Hole(3, 4),)


def test_other_topics_and_partitions_do_not_count(rows: Rows) -> None:
    rows.put("events", [0])
    rows.put("events", [1], partition=1)
    rows.put("events", [1], topic_id=OTHER_ID)
    assert rows.account(2).holes == (Hole(1, 1),)
    assert rows.account(2, partition=1).holes == (Hole(0, 0),)
    assert rows.account(2).events == 1


def test_a_coordinate_with_two_rows_is_told_whichever_tables_have_them(rows: Rows) -> None:
    rows.put("events", [0, 1, 1, 2])
    rows.put("duplicate_deliveries", [2])
    rows.put("dead_letters", [2, 3])
    found = rows.account(4)
    assert found.doubled == 3
    assert found.holes == ()


def test_what_expired_is_told_apart_from_holes(rows: Rows) -> None:
    rows.put("events", [10, 11])
    rows.expire(2, 5)
    rows.expire(6, 7)
    found = rows.account(12)
    assert found.holes == (Hole(0, 1), Hole(8, 9))
    assert found.expired == (Hole(2, 5), Hole(6, 7))
    assert found.doubled == 0


def test_an_expired_range_with_rows_in_it_covers_only_what_is_missing(rows: Rows) -> None:
    rows.put("events", [0, 3])
    rows.expire(0, 4)
    found = rows.account(6)
    assert found.expired == (Hole(1, 2), Hole(4, 4))
    assert found.holes == (Hole(5, 5),)


def test_offsets_beyond_32_bits(rows: Rows) -> None:
    start = 1 << 40
    rows.put("events", [start, start + 2])
    assert rows.account(start + 3).holes == (Hole(0, start - 1), Hole(start + 1, start + 1))
