"""One partition of the sink: what waits in memory, and where the next insert begins."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Message

from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.writer import Chunk, PartitionWriter

_FEW = 1_000
"""Up to so many records a chunk is small: it is written soon, since it costs little."""


class SinkPartition:
    """Records of one assigned partition that wait for their insert, in the order of the log.

    `position` is the offset before which everything is stored. A `pending` insert, announced by a process that died,
    is cut exactly as it was announced.
    """

    def __init__(
        self, topic: str, topic_id: str, partition: int, position: int, pending: Pending | None, writer: PartitionWriter
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.partition = partition
        self.position = position
        self.committed = position
        self.writer = writer
        self.writing = False
        self.revoked = False
        self.opened = False
        self.pending = pending
        self._messages: list[Message] = []
        self._bytes = 0
        self._since = 0.0

    @property
    def buffered_bytes(self) -> int:
        return self._bytes

    def add(self, messages: Sequence[Message], size: int, now: float | None = None) -> None:
        """Take in consecutive messages of `size` bytes in all."""
        if not self._messages:
            self._since = time.monotonic() if now is None else now
        self._messages.extend(messages)
        self._bytes += size

    def is_due(self, now: float, linger: float, busy_linger: float, max_rows: int, max_bytes: int) -> bool:
        """Whether the next chunk should be written now: it is full, old enough, or a replay that is complete.

        A few records are written after `linger` seconds, many after `busy_linger`: an insert of any size costs the
        store about 90 ms of CPU time, so that small ones would take all of it.
        """
        if not self._messages or self.writing or not self.opened:
            return False
        if self.pending:
            return bool(self._messages[-1].offset() >= self.pending.end - 1)
        if len(self._messages) >= max_rows or self._bytes >= max_bytes:
            return True
        return now - self._since >= (linger if len(self._messages) < _FEW else busy_linger)

    def _cut(self, max_rows: int) -> int:
        if self.pending is None:
            return min(len(self._messages), max_rows)
        end = self.pending.end
        return next((i for i, m in enumerate(self._messages) if m.offset() >= end), len(self._messages))

    def next_end(self, max_rows: int) -> int:
        """The offset before which the next chunk ends."""
        return self.pending.end if self.pending else int(self._messages[self._cut(max_rows) - 1].offset()) + 1

    def take(self, now: float, max_rows: int) -> Chunk:
        """The next chunk; what lies behind it stays."""
        cut, end = self._cut(max_rows), self.next_end(max_rows)
        taken, self._messages = self._messages[:cut], self._messages[cut:]
        self._bytes = sum(len(m) for m in self._messages)
        self._since = now
        self.writing = True
        return Chunk(
            topic=self.topic,
            topic_id=self.topic_id,
            partition=self.partition,
            start=self.position,
            end=end,
            offsets=[m.offset() for m in taken],
            keys=[m.key() for m in taken],
            values=[m.value() for m in taken],
            timestamps=[m.timestamp()[1] for m in taken],
        )

    def open(self) -> None:
        """Learn what is stored; from then on chunks may be written. Raises ClickHouseError."""
        self.writer.open(self.pending)
        self.opened = True

    def written(self, chunk: Chunk) -> None:
        """`chunk` is stored; the next one begins where it ended."""
        self.position = chunk.end
        self.pending = None
        self.writing = False
