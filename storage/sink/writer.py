"""What the sink does with a chunk of one partition; the consumer decides when, a writer decides how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from proventrail.storage.sink.progress import Pending


class SinkError(Exception):
    """The sink cannot go on without dropping something; it stops, and nothing is lost."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of one partition: `values[i]` stands at `offsets[i]`; `keys` and times likewise.

    It covers the offsets from `start` up to but not including `end`, which may have gaps in a log.
    """

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]

    def token(self, table: str) -> str:
        """Deduplication token of the insert of this chunk into `table`; the same for every replay of it."""
        return f"{table}:{self.topic_id}:{self.partition}:{self.start}:{self.end}"


@dataclass(frozen=True)
class Written:
    """What became of a chunk: rows by destination."""

    events: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    replayed: int = 0


class PartitionWriter(Protocol):
    """Writes the chunks of one partition of one topic, in order.

    Raises ClickHouseError, RegistryUnavailable and SinkError.
    """

    def open(self, pending: Pending | None) -> None:
        """Learn what is stored already. `pending` is an insert that was announced and may have happened in part."""
        ...

    def marks(self) -> dict[str, int]:
        """Raw topic UUID -> highest raw offset of this partition that is stored."""
        ...

    def write(self, chunk: Chunk, *, replay: bool) -> Written:
        """Store `chunk`; `replay` says that it may be stored in part. May be called again after an error."""
        ...
