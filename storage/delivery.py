"""Proof of delivery: every raw offset is an event, a known duplicate, a dead letter, or a hole with a reason.

Coordinates are unique if no (topic UUID, partition, offset) has two rows, and complete if the rows cover every offset
below the end that the broker names. What the broker has not kept any more can only be told from the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from proventrail.storage.store import Store


@dataclass(frozen=True)
class Hole:
    """Raw offsets `first` to `last`, both included, without a row."""

    first: int
    last: int


@dataclass(frozen=True)
class PartitionDelivery:
    """What the store has of one partition of one raw topic, up to the offset `end`.

    `expired` are the offsets without a row of which a dead letter says that retention removed them; `holes` the others.
    `doubled` counts rows that are one too many at their coordinate.
    """

    topic: str
    topic_id: str
    partition: int
    events: int
    duplicates: int
    dead_letters: int
    doubled: int
    end: int
    holes: tuple[Hole, ...]
    expired: tuple[Hole, ...]


_COVERED = """
SELECT raw_offset FROM {database}.events WHERE {where}
UNION ALL SELECT raw_offset FROM {database}.duplicate_deliveries WHERE {where}
UNION ALL SELECT raw_offset FROM {database}.dead_letters WHERE {where} AND reason != 'expired'"""


def partition_delivery(
    store: Store, database: str, topic: str, topic_id: str, partition: int, end: int
) -> PartitionDelivery:
    """Account for the offsets 0 to `end` - 1 of one partition. Raises ClickHouseError."""
    where = f"raw_topic_id = '{topic_id}' AND raw_partition = {partition}"
    covered = _COVERED.format(database=database, where=where)

    def count(table: str) -> int:
        return int(store.rows(f"SELECT count() FROM {database}.{table} WHERE {where}")[0][0])

    doubled = store.rows(f"SELECT count() - uniqExact(raw_offset) FROM ({covered})")[0][0]
    gaps = store.rows(
        f"""SELECT previous + 1, raw_offset - 1 FROM
(
    SELECT raw_offset, lagInFrame(raw_offset, 1, -1) OVER (ORDER BY raw_offset
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS previous
    FROM (SELECT DISTINCT toInt64(raw_offset) AS raw_offset FROM ({covered}) UNION ALL SELECT toInt64({end}))
)
WHERE raw_offset > previous + 1 ORDER BY 1"""
    )
    expired = store.rows(
        f"SELECT raw_offset, extract(message, ' to (\\\\d+) were') FROM {database}.dead_letters "
        f"WHERE {where} AND reason = 'expired' ORDER BY raw_offset"
    )
    return PartitionDelivery(
        topic,
        topic_id,
        partition,
        count("events"),
        count("duplicate_deliveries"),
        count("dead_letters"),
        int(doubled),
        end,
        *_told_apart(
            [Hole(int(first), min(int(last), end - 1)) for first, last in gaps if int(first) < end],
            [Hole(int(first), int(last)) for first, last in expired],
        ),
    )


def _told_apart(gaps: list[Hole], removed: list[Hole]) -> tuple[tuple[Hole, ...], tuple[Hole, ...]]:
    """The parts of `gaps` that lie outside and inside of the ranges `removed`; both are in order of offsets."""
    outside: list[Hole] = []
    inside: list[Hole] = []
    for gap in gaps:
        at = gap.first
        for cut in removed:
            first, last = max(at, cut.first), min(gap.last, cut.last)
            if first > last:
                continue
            if at < first:
                outside.append(Hole(at, first - 1))
            inside.append(Hole(first, last))
            at = last + 1
        if at <= gap.last:
            outside.append(Hole(at, gap.last))
    return tuple(outside), tuple(inside)
