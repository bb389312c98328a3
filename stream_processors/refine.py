"""Refine: raw events -> refined events, dead letters and observations. A pure function of batch and configuration.

validate -> name -> enrich -> anonymise. Each input row ends as exactly one refined row or one dead letter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from proventrail.schemas import avro
from proventrail.schemas.avro import SINGLE_OBJECT, Framing
from proventrail.schemas.columns import encode_batch
from proventrail.schemas.topics import MAX_MESSAGE_BYTES
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.steps.anonymise import Anonymise, keep_all
from proventrail.stream_processors.steps.assemble import assemble, comparable_run_ids
from proventrail.stream_processors.steps.batch import RawBatch, Rejected
from proventrail.stream_processors.steps.datasets import DatasetNames
from proventrail.stream_processors.steps.decode import decode
from proventrail.stream_processors.steps.observe import observe
from proventrail.stream_processors.steps.validate import validate

_OVERHEAD = 4096
"""Bytes that Kafka's framing and the key may add to a value."""


class Place(NamedTuple):
    """Which part of which raw record: protection is bound to it, so no two records are protected alike."""

    topic_id: str
    partition: int
    offset: int
    part: Literal["key", "value"]


Protect = Callable[[bytes | None, Place], bytes | None]
"""Encrypts what a dead letter holds of its record, the same way each time."""


def in_clear(data: bytes | None, place: Place) -> bytes | None:
    """No protection: as it is."""
    return data


@dataclass
class Refined:
    """What becomes of a batch. Row numbers are those of the input; `values[i]` and `keys[i]` belong to row `rows[i]`.

    Of a dead letter (Kafka key, value).
    """

    rows: list[int]
    keys: list[bytes]
    values: list[bytes]
    dead_letters: dict[int, tuple[bytes | None, bytes]]
    reasons: list[Rejected]
    observations: list[tuple[bytes, bytes]] = field(default_factory=list)
    newest_event_micros: int | None = None


def record_keys(refined: pa.RecordBatch) -> list[bytes]:
    """Keys of refined records: as the SDK makes them (`job_key`), but of the names as they are after anonymisation."""
    namespaces, names = refined["job_namespace"], refined["job_name"]
    lone = pc.equal(refined["event_kind"], "DATASET")
    if pc.any(lone).as_py():
        # A DatasetEvent has one output, its dataset; the SDK knows it by the name that was written.
        datasets = refined["outputs"].filter(lone).flatten()
        written = []
        for part, column in (("namespace", namespaces), ("name", names)):
            raw, normal = (pc.struct_field(datasets, name) for name in (f"raw_{part}", part))
            written.append(pc.replace_with_mask(column, lone, pc.if_else(pc.equal(raw, ""), normal, raw)))
        namespaces, names = written
    joined = pc.binary_join_element_wise(namespaces, names, "/")
    keys: list[bytes] = joined.cast(pa.binary()).to_pylist()
    return keys


class Refine:
    """The stage's configuration: catalogue, anonymisation, size limit, and the schema registry: how it resolves the ids
    of raw events, and how what is written here is framed. `framing` is settled before the first batch, because the
    same events must always give the same bytes.
    `protect` is for dead letters, which hold records as they came.
    """

    def __init__(
        self,
        catalog: Catalog,
        anonymise: Anonymise = keep_all,
        *,
        resolver: avro.Resolver | None = None,
        framing: Framing = SINGLE_OBJECT,
        max_value_bytes: int = MAX_MESSAGE_BYTES - _OVERHEAD,
        protect: Protect = in_clear,
    ) -> None:
        self._catalog = catalog
        self._names = DatasetNames(catalog)
        self._anonymise = anonymise
        self._resolver = resolver
        self.framing = framing
        self._max_value_bytes = max_value_bytes
        self._protect = protect

    def __call__(self, raw: RawBatch) -> Refined:
        """Refine one batch of one raw partition.

        Raises RegistryUnavailable: then it must be refined again later; AnonymiseError: then the process must stop. In
        both cases nothing of the batch may be passed on.
        """
        events = validate(decode(raw, self._resolver))
        rejected = events.rejected
        assembled = assemble(raw, events, self._names, self._catalog.version)
        columns = comparable_run_ids(assembled, self._anonymise(assembled))
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
            keys=record_keys(columns),
            values=values,
            dead_letters={item.row: self._dead_letter(raw, item) for item in sorted(rejected, key=lambda r: r.row)},
            reasons=rejected,
            observations=observe(columns, self.framing),
            newest_event_micros=newest,
        )

    def _dead_letter(self, raw: RawBatch, rejected: Rejected) -> tuple[bytes | None, bytes]:
        """Key and value of the record."""
        row = rejected.row
        place = Place(raw.topic_id, raw.partition, raw.offsets[row], "key")
        key = self._protect(raw.keys[row], place)
        letter = {
            "raw_topic_id": raw.topic_id,
            "raw_topic": raw.topic,
            "raw_partition": raw.partition,
            "raw_offset": raw.offsets[row],
            "received_at": raw.times[row],
            "reason": rejected.reason,
            "stage": rejected.stage,
            "path": rejected.path,
            "message": rejected.message,
            "key": key,
            "value": self._protect(raw.values[row], place._replace(part="value")),
        }
        return key, avro.encode("dead_letter", letter, self.framing)

    def _oversize(self, row: int) -> Rejected:
        return Rejected(
            row,
            "oversize",
            "encode",
            "",
            f"refined, the event has more than {self._max_value_bytes} bytes: split it, or send smaller facets",
        )
