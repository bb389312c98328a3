"""Dead letters -> rows of `dead_letters`, exactly once by their raw coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from proventrail.schemas.avro import Resolver, decode
from proventrail.schemas.columns import Undecodable
from proventrail.schemas.wire import CodecError
from proventrail.storage.derive import CoordinateRange
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.writer import Chunk, Written
from proventrail.storage.store import Store

_SCHEMA = pa.schema(
    [
        ("raw_topic_id", pa.string()),
        ("raw_topic", pa.string()),
        ("raw_partition", pa.int32()),
        ("raw_offset", pa.int64()),
        ("received_at", pa.timestamp("ms", "UTC")),
        ("reason", pa.string()),
        ("stage", pa.string()),
        ("path", pa.string()),
        ("message", pa.string()),
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)


def undecodable_rows(chunk: Chunk, undecodable: Sequence[Undecodable]) -> pa.Table:
    """Rows for records of a topic of ours that cannot be decoded; their coordinates are those of that topic."""
    rows = [
        {
            "raw_topic_id": chunk.topic_id,
            "raw_topic": chunk.topic,
            "raw_partition": chunk.partition,
            "raw_offset": chunk.offsets[bad.index],
            "received_at": chunk.timestamps[bad.index],
            "reason": "undecodable",
            "stage": "sink",
            "path": "",
            "message": f"not a record of this topic's schema ({bad.reason}): find out who wrote it",
            "key": chunk.keys[bad.index] or b"",
            "value": chunk.values[bad.index] or b"",
        }
        for bad in undecodable
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


class DeadLetterWriter:
    """PartitionWriter of `lineage.deadletter`."""

    def __init__(self, store: Store, dialect: Dialect, partition: int, resolver: Resolver | None = None) -> None:
        self._resolver = resolver
        self._store = store
        self._dialect = dialect
        self._partition = partition
        self._marks: dict[str, int] = {}

    def open(self, pending: Pending | None) -> None:
        if pending:
            self._marks = dict(pending.marks)
            return
        found = self._store.rows(
            f"SELECT toString(raw_topic_id), max(raw_offset) FROM {self._dialect.name('dead_letters')} "
            f"WHERE raw_partition = {self._partition} AND stage != 'sink' GROUP BY raw_topic_id"
        )
        self._marks = {str(topic_id): int(mark) for topic_id, mark in found}

    def marks(self) -> dict[str, int]:
        return dict(self._marks)

    def write(self, chunk: Chunk, *, replay: bool) -> Written:
        rows: list[dict[str, Any]] = []
        undecodable: list[Undecodable] = []
        marks = dict(self._marks)
        for index, value in enumerate(chunk.values):
            try:
                letter = decode("dead_letter", value or b"", self._resolver)
            except CodecError as error:
                undecodable.append(Undecodable(index, error.code))
                continue
            if letter["raw_offset"] > marks.get(letter["raw_topic_id"], -1):
                marks[letter["raw_topic_id"]] = letter["raw_offset"]
                rows.append({**letter, "key": letter["key"] or b"", "value": letter["value"] or b""})
        if replay:
            rows = self._without_stored(rows)
        table = pa.concat_tables([pa.Table.from_pylist(rows, schema=_SCHEMA), undecodable_rows(chunk, undecodable)])
        if len(table):
            self._store.insert(self._dialect.name("dead_letters"), table, chunk.token("dead_letters"))
        self._marks = marks
        return Written(dead_letters=len(table))

    def _without_stored(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        stored: set[tuple[str, int]] = set()
        for topic_id in {row["raw_topic_id"] for row in rows}:
            offsets = [row["raw_offset"] for row in rows if row["raw_topic_id"] == topic_id]
            span = CoordinateRange(topic_id, self._partition, min(offsets), max(offsets))
            found = self._store.rows(
                f"SELECT raw_offset FROM {self._dialect.name('dead_letters')} WHERE {span.condition()}"
            )
            stored |= {(topic_id, int(row[0])) for row in found}
        return [row for row in rows if (row["raw_topic_id"], row["raw_offset"]) not in stored]
