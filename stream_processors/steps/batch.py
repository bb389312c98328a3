"""What flows between the steps: raw columns with their coordinates, and what was refused on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

Reason = Literal["empty", "unknown-framing", "unknown-schema", "undecodable", "malformed", "invalid", "oversize"]


@dataclass(frozen=True)
class Rejected:
    """Record `row` of the input batch cannot be accepted. `message` says what to do and quotes no value."""

    row: int
    reason: Reason
    stage: str
    path: str
    message: str


@dataclass
class RawBatch:
    """Records of one raw partition as read: `values[i]` stands at `offsets[i]`, received at `times[i]` (ms)."""

    topic: str
    topic_id: str
    partition: int
    offsets: list[int]
    times: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]

    def __len__(self) -> int:
        return len(self.values)


@dataclass
class Events:
    """Columns of `lineage_event`; `rows[i]` is the input row of event i. Steps give back new ones."""

    columns: pa.RecordBatch
    rows: pa.Array
    schema_ids: pa.Array
    rejected: list[Rejected] = field(default_factory=list)
