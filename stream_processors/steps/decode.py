"""Step 1: framed Avro, or OpenLineage JSON from the topic of that name, to columns."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa

from proventrail.schemas import avro
from proventrail.schemas.columns import decode_batch, shared_prefix
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.topics import OPENLINEAGE
from proventrail.schemas.verdict import lenient
from proventrail.schemas.wire import CodecError, parse
from proventrail.stream_processors.steps.arrays import constant
from proventrail.stream_processors.steps.batch import Events, RawBatch, Rejected

_ADVICE = {
    "empty": "the record has no value: send an event",
    "unknown-framing": "neither an Avro single object nor the framing of a schema registry: use an SDK or the gateway",
    "unknown-schema": "its schema is unknown here: configure the schema registry, or upgrade Proventrail",
    "undecodable": "the bytes do not follow the schema that they name",
}


def _load_json(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        # Integers beyond 64 bits are JSON all the same.
        import json

        return json.loads(value)


def _from_json(row: int, value: bytes | None) -> bytes | Rejected:
    """An OpenLineage event as the SDK would have sent it, or why not."""
    if not value:
        return Rejected(row, "empty", "decode", "", _ADVICE["empty"])
    try:
        event = _load_json(value)
    except (ValueError, RecursionError):
        return Rejected(row, "malformed", "decode", "$", "not JSON: the topic openlineage takes OpenLineage events")
    problems = lenient(event)
    if problems:
        return Rejected(row, "invalid", "validate", problems[0].path, problems[0].reason)
    try:
        return avro.encode("lineage_event", from_openlineage(event))
    except (CodecError, ValueError, RecursionError) as error:
        return Rejected(row, "invalid", "decode", "$", f"the event cannot be kept ({type(error).__name__})")


def _schema_ids(values: list[bytes | None], rows: list[int]) -> pa.Array:
    """Fingerprint (hex) or registry id of the schema that wrote each decoded value."""
    if shared_prefix(values) is not None:
        return constant(_reference(values[0]), len(rows))
    return pa.array([_reference(values[row]) for row in rows], pa.string())


def _reference(value: bytes | None) -> str:
    reference = parse(value).schema
    return reference.hex() if isinstance(reference, bytes) else str(reference)


def decode(raw: RawBatch, resolver: avro.Resolver | None = None) -> Events:
    """All that can be decoded, in order; the rest in `rejected`. Raises RegistryUnavailable, from `resolver`."""
    rejected: list[Rejected] = []
    values = raw.values
    if raw.topic == OPENLINEAGE or raw.topic.startswith(f"{OPENLINEAGE}-"):
        converted = [_from_json(row, value) for row, value in enumerate(values)]
        rejected = [item for item in converted if isinstance(item, Rejected)]
        rows = [row for row, item in enumerate(converted) if isinstance(item, bytes)]
        values = [item for item in converted if isinstance(item, bytes)]
    else:
        rows = list(range(len(values)))
    columns, undecodable = decode_batch("lineage_event", values, resolver)
    if undecodable:
        bad = {item.index for item in undecodable}
        rejected += [
            Rejected(rows[item.index], item.reason, "decode", "", _ADVICE[item.reason])  # type: ignore[arg-type]
            for item in undecodable
        ]
        kept = [i for i in range(len(values)) if i not in bad]
    else:
        kept = list(range(len(values)))
    ids = _schema_ids(values, kept) if kept else pa.array([], pa.string())
    return Events(columns, pa.array([rows[i] for i in kept], pa.int64()), ids, rejected)
