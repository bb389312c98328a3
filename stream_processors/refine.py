"""Refine: raw events -> refined events, dead letters and observations. A pure function of batch and configuration.

validate -> name -> enrich -> anonymise. Each input row ends as exactly one refined row or one dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from proventrail.schemas import avro
from proventrail.schemas.avro import SINGLE_OBJECT, Framing
from proventrail.schemas.columns import encode_batch
from proventrail.schemas.topics import MAX_MESSAGE_BYTES
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.steps.anonymise import Anonymise, keep_all
from proventrail.stream_processors.steps.assemble import assemble
from proventrail.stream_processors.steps.batch import RawBatch, Rejected
from proventrail.stream_processors.steps.datasets import DatasetNames
from proventrail.stream_processors.steps.decode import decode
from proventrail.stream_processors.steps.observe import observe
from proventrail.stream_processors.steps.validate import validate

_OVERHEAD = 4096
"""Bytes that Kafka's framing and the key may add to a value."""


@dataclass
class Refined:
    """What becomes of a batch. Row numbers are those of the input; `values[i]` belongs to row `rows[i]`."""

    rows: list[int]
    values: list[bytes]
    dead_letters: dict[int, bytes]
    reasons: list[Rejected]
    observations: list[tuple[bytes, bytes]] = field(default_factory=list)
    newest_event_micros: int | None = None


def _dead_letter(raw: RawBatch, rejected: Rejected, framing: Framing) -> bytes:
    row = rejected.row
    return avro.encode(
        "dead_letter",
        {
            "raw_topic_id": raw.topic_id,
            "raw_topic": raw.topic,
            "raw_partition": raw.partition,
            "raw_offset": raw.offsets[row],
            "received_at": raw.times[row],
            "reason": rejected.reason,
            "stage": rejected.stage,
            "path": rejected.path,
            "message": rejected.message,
            "key": raw.keys[row],
            "value": raw.values[row],
        },
        framing,
    )


class Refine:
    """The stage's configuration: catalogue, anonymisation, size limit, and the schema registry: how it resolves the ids
    of raw events, and how what is written here is framed. `framing` is settled before the first batch, because the
    same events must always give the same bytes.
    """

    def __init__(
        self,
        catalog: Catalog,
        anonymise: Anonymise = keep_all,
        *,
        resolver: avro.Resolver | None = None,
        framing: Framing = SINGLE_OBJECT,
        max_value_bytes: int = MAX_MESSAGE_BYTES - _OVERHEAD,
    ) -> None:
        self._catalog = catalog
        self._names = DatasetNames(catalog)
        self._anonymise = anonymise
        self._resolver = resolver
        self.framing = framing
        self._max_value_bytes = max_value_bytes

    def __call__(self, raw: RawBatch) -> Refined:
        """Refine one batch of one raw partition. Raises RegistryUnavailable: then it must be refined again later."""
        events = validate(decode(raw, self._resolver))
        rejected = events.rejected
        columns = self._anonymise(assemble(raw, events, self._names, self._catalog.version))
        values = encode_batch("refined_event", columns, self.framing)
        rows: list[int] = events.rows.to_pylist()
        if values and max(map(len, values)) > self._max_value_bytes:
            keep = [len(value) <= self._max_value_bytes for value in values]
            rejected = [*rejected, *(self._oversize(row) for row, kept in zip(rows, keep, strict=True) if not kept)]
            rows = [row for row, kept in zip(rows, keep, strict=True) if kept]
            values = [value for value, kept in zip(values, keep, strict=True) if kept]
            columns = columns.filter(pa.array(keep))
        newest = pa.compute.max(columns.column("event_time").cast(pa.int64())).as_py()
        return Refined(
            rows=rows,
            values=values,
            dead_letters={i.row: _dead_letter(raw, i, self.framing) for i in sorted(rejected, key=lambda r: r.row)},
            reasons=rejected,
            observations=observe(columns, self.framing),
            newest_event_micros=newest,
        )

    def _oversize(self, row: int) -> Rejected:
        return Rejected(
            row,
            "oversize",
            "encode",
            "",
            f"refined, the event has more than {self._max_value_bytes} bytes: split it, or send smaller facets",
        )
