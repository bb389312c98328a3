"""Refined events -> rows of `events`, exactly once by their raw coordinates and once per event by its id."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from proventrail.schemas.avro import Resolver
from proventrail.schemas.columns import decode_batch
from proventrail.storage.derive import CoordinateRange, link_edges, rederive
from proventrail.storage.dialect import Dialect
from proventrail.storage.sink.dead_letters import undecodable_rows
from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.recent import RecentEvents, uuid_words
from proventrail.storage.sink.rows import event_columns
from proventrail.storage.sink.writer import Chunk, SinkError, Written
from proventrail.storage.store import Store
from proventrail.telemetry import metrics

DUPLICATE_WINDOW = 1 << 18
"""How many raw offsets back a second delivery of an event is recognised, per raw partition."""


def _as_uuid(topic_id: str) -> str:
    try:
        return str(uuid.UUID(topic_id))
    except ValueError:
        raise SinkError(
            "a refined record has a raw_topic_id that is no UUID: refine and sink differ in version"
        ) from None


class EventWriter:
    """PartitionWriter of `lineage.refined`. The refined partition has the number of the raw one."""

    def __init__(
        self,
        store: Store,
        dialect: Dialect,
        partition: int,
        window: int = DUPLICATE_WINDOW,
        resolver: Resolver | None = None,
    ) -> None:
        self._resolver = resolver
        self._store = store
        self._dialect = dialect
        self._partition = partition
        self._window = window
        self._marks: dict[str, int] = {}
        self._recent: dict[str, RecentEvents] = {}

    def open(self, pending: Pending | None) -> None:
        """Take the marks that were announced with `pending`, else read them from the store."""
        self._marks = dict(pending.marks) if pending else self._stored_marks()
        self._recent = {topic_id: self._stored_recent(topic_id, mark) for topic_id, mark in self._marks.items()}

    def marks(self) -> dict[str, int]:
        return dict(self._marks)

    def _stored_marks(self) -> dict[str, int]:
        tables = " UNION ALL ".join(
            f"SELECT raw_topic_id, raw_offset FROM {self._dialect.name(table)} WHERE raw_partition = {self._partition}"
            for table in ("events", "duplicate_deliveries")
        )
        found = self._store.rows(
            f"SELECT toString(raw_topic_id), max(raw_offset) FROM ({tables}) GROUP BY raw_topic_id"
        )
        return {str(topic_id): int(mark) for topic_id, mark in found}

    def _stored_recent(self, topic_id: str, mark: int) -> RecentEvents:
        span = CoordinateRange(topic_id, self._partition, max(0, mark - self._window), mark)
        found = self._store.rows(
            f"SELECT toString(event_id), raw_offset FROM {self._dialect.name('events')} WHERE {span.condition()}"
        )
        recent = RecentEvents(self._window)
        high, low = uuid_words(pa.array([row[0] for row in found], pa.string()))
        recent.remember(high, low, np.array([row[1] for row in found], np.int64))
        return recent

    def write(self, chunk: Chunk, *, replay: bool) -> Written:
        batch, undecodable = decode_batch("refined_event", chunk.values, self._resolver)
        if undecodable:
            self._store.insert(
                self._dialect.name("dead_letters"),
                undecodable_rows(chunk, undecodable),
                chunk.token("dead_letters"),
            )
        counts = Written(dead_letters=len(undecodable))
        for part in self._by_topic(batch):
            counts = self._write_topic(chunk, part, replay, counts)
        return counts

    def _by_topic(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The records of each raw topic, which are in raw order each."""
        topics = pc.unique(batch.column("raw_topic_id"))
        if len(topics) == 1:
            yield batch
            return
        for topic_id in topics:
            yield batch.filter(pc.equal(batch.column("raw_topic_id"), topic_id))

    def _write_topic(self, chunk: Chunk, batch: pa.RecordBatch, replay: bool, counts: Written) -> Written:
        topic_id = _as_uuid(batch.column("raw_topic_id")[0].as_py())
        self._check_partition(batch)
        offsets = batch.column("raw_offset").to_numpy()
        mark = self._marks.get(topic_id, -1)
        above = offsets > np.maximum.accumulate(np.concatenate([[mark], offsets]))[:-1]
        if not above.all():
            batch, offsets = batch.filter(pa.array(above)), offsets[above]
        if not len(offsets):
            return counts
        first = self._first_offsets(topic_id, batch, offsets)
        new = first < 0
        span = CoordinateRange(topic_id, self._partition, int(offsets[0]), int(offsets[-1]))
        events = batch if new.all() else batch.filter(pa.array(new))
        self._insert_events(chunk, topic_id, events, span, replay)
        if not new.all():
            self._insert_duplicates(chunk, topic_id, batch, first, span, replay)
        high, low = uuid_words(events.column("event_id"))
        self._recent.setdefault(topic_id, RecentEvents(self._window)).remember(high, low, offsets[new])
        self._marks[topic_id] = int(offsets[-1])
        duplicates = int(len(first) - new.sum())
        metrics.DUPLICATES.labels("sink").inc(duplicates)
        return Written(
            events=counts.events + len(events),
            duplicates=counts.duplicates + duplicates,
            dead_letters=counts.dead_letters,
            replayed=counts.replayed + int((~above).sum()),
        )

    def _check_partition(self, batch: pa.RecordBatch) -> None:
        bounds = pc.min_max(batch.column("raw_partition")).as_py()
        if bounds != {"min": self._partition, "max": self._partition}:
            raise SinkError(
                f"partition {self._partition} of the refined topic holds records of raw partitions "
                f"{bounds['min']} to {bounds['max']}: something other than refine wrote to it"
            )

    def _first_offsets(
        self, topic_id: str, batch: pa.RecordBatch, offsets: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        try:
            high, low = uuid_words(batch.column("event_id"))
        except ValueError as error:
            raise SinkError(f"{error}: refine and sink differ in version") from error
        recent = self._recent.get(topic_id) or RecentEvents(self._window)
        return recent.first_offsets(high, low, offsets)

    def _insert_events(
        self, chunk: Chunk, topic_id: str, events: pa.RecordBatch, span: CoordinateRange, replay: bool
    ) -> None:
        table = self._dialect.name("events")
        if replay:
            events = self._without_stored(events, "events", span)
        if len(events):
            self._store.insert(table, event_columns(events), chunk.token(f"events:{topic_id}"))
        if replay:
            rederive(self._store, self._dialect, span)
        link_edges(self._store, self._dialect, span)

    def _insert_duplicates(
        self,
        chunk: Chunk,
        topic_id: str,
        batch: pa.RecordBatch,
        first: npt.NDArray[np.int64],
        span: CoordinateRange,
        replay: bool,
    ) -> None:
        again = pa.array(first >= 0)
        names = ["raw_topic_id", "raw_topic", "raw_partition", "raw_offset", "received_at", "event_id"]
        rows = pa.Table.from_batches([batch.select(names)]).filter(again)
        rows = rows.append_column("first_offset", pa.array(first[first >= 0]))
        if replay:
            rows = self._without_stored(rows, "duplicate_deliveries", span)
        if len(rows):
            token = chunk.token(f"duplicate_deliveries:{topic_id}")
            self._store.insert(self._dialect.name("duplicate_deliveries"), rows, token)

    def _without_stored(self, rows: pa.RecordBatch, table: str, span: CoordinateRange) -> pa.RecordBatch:
        """`rows` less those that an interrupted insert has stored; this needs no deduplication window of the server."""
        found = self._store.rows(f"SELECT raw_offset FROM {self._dialect.name(table)} WHERE {span.condition()}")
        stored = pa.array([row[0] for row in found], pa.int64())
        return rows.filter(pc.invert(pc.is_in(rows["raw_offset"], value_set=stored)))
