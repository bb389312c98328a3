"""Batches of records as Arrow columns: the codec of the hot path, and the only module that knows pyruhvro.

pyruhvro (Rust) does 25 times what fastavro does per second, but has one maintainer: PROVENTRAIL_CODEC=fastavro swaps it
for fastavro, and a differential test holds the two together. pyruhvro knows neither `bytes` nor `fixed`; schemas with
them (dead letters, which are rare) go through fastavro always.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from proventrail.schemas import avro
from proventrail.schemas.wire import CodecError, parse

_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "boolean": pa.bool_(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "timestamp-micros": pa.timestamp("us"),
    "timestamp-millis": pa.timestamp("ms"),
}


@dataclass(frozen=True, order=True)
class Undecodable:
    """A value of a batch that is no record: its index in the batch, and the stable code of a CodecError."""

    index: int
    reason: str


def _arrow_type(schema: Any, named: dict[str, pa.DataType]) -> pa.DataType:
    if isinstance(schema, list):
        [schema] = [branch for branch in schema if branch != "null"]
    if isinstance(schema, str):
        return named[schema] if schema in named else _ARROW[schema]
    kind = schema["type"]
    if kind == "enum":
        named[schema["name"]] = pa.string()
    elif kind == "record":
        named[schema["name"]] = pa.struct(_arrow_fields(schema, named))
    if kind in ("enum", "record"):
        return named[schema["name"]]
    if kind == "array":
        return pa.list_(_arrow_type(schema["items"], named))
    if kind == "map":
        return pa.map_(pa.string(), _arrow_type(schema["values"], named))
    return _ARROW[schema.get("logicalType", kind)]


def _arrow_fields(schema: dict[str, Any], named: dict[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(field["name"], _arrow_type(field["type"], named)) for field in schema["fields"]]


@cache
def _own_arrow_schema(name: str) -> pa.Schema:
    schema = json.loads(avro.schema_json(name))
    required = {field["name"] for field in schema["fields"] if not isinstance(field["type"], list)}
    return pa.schema([field.with_nullable(field.name not in required) for field in _arrow_fields(schema, {})])


@cache
def _in_rust(name: str) -> bool:
    return os.environ.get("PROVENTRAIL_CODEC", "pyruhvro") != "fastavro" and '"bytes"' not in avro.schema_json(name)


@cache
def arrow_schema(name: str) -> pa.Schema:
    """The columns of a batch of records of the current schema `name`."""
    if _in_rust(name):
        return pyruhvro.deserialize_array([], avro.schema_json(name)).schema
    return _own_arrow_schema(name)


def _decode_strict(name: str, data: Sequence[bytes]) -> pa.RecordBatch:
    """Datums of the current schema to columns. Raises ValueError if any of them is no datum."""
    if not _in_rust(name):
        # A frame is put back on: fastavro's road is the one of single records.
        prefix = avro.single_object_prefix(name)
        return pa.RecordBatch.from_pylist([avro.decode(name, prefix + d) for d in data], schema=arrow_schema(name))
    try:
        batch = pyruhvro.deserialize_array(data, avro.schema_json(name))
        # pyruhvro takes any bytes for a string; ArrowInvalid is a ValueError.
        batch.validate(full=True)
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise ValueError("the codec gave up on this datum") from None
        raise
    return batch


def _decode_around_bad(name: str, data: list[bytes], start: int, bad: list[int]) -> list[pa.RecordBatch]:
    """Columns of the good datums, in order; positions of the others, counted from `start`, are added to `bad`."""
    try:
        return [_decode_strict(name, data)]
    except ValueError:
        if len(data) == 1:
            bad.append(start)
            return []
        half = len(data) // 2
        return [
            *_decode_around_bad(name, data[:half], start, bad),
            *_decode_around_bad(name, data[half:], start + half, bad),
        ]


def _datums(
    name: str, values: Sequence[bytes | None], resolver: avro.Resolver | None
) -> tuple[list[bytes], list[int], list[Undecodable]]:
    """Datums of the current schema, their indices, and what cannot be brought there. Older versions are re-encoded."""
    current: dict[bytes | int, bool] = {}
    data: list[bytes] = []
    indices: list[int] = []
    bad: list[Undecodable] = []
    for index, value in enumerate(values):
        try:
            frame = parse(value)
            assert value is not None
            if frame.schema not in current:
                current[frame.schema] = avro.is_current(name, frame.schema, resolver)
            if current[frame.schema]:
                data.append(value[frame.start :])
            else:
                data.append(avro.encode_datum(name, avro.decode(name, value, resolver)))
            indices.append(index)
        except CodecError as error:
            bad.append(Undecodable(index, error.code))
    return data, indices, bad


def shared_prefix(values: Sequence[bytes | None]) -> bytes | None:
    """The frame that all values have in common, None if they differ or one is no record."""
    try:
        prefix = (values[0] or b"")[: parse(values[0]).start] if values else b""
    except CodecError:
        return None
    return prefix if all(value is not None and value.startswith(prefix) for value in values) else None


def _wholly_current(name: str, values: Sequence[bytes | None], resolver: avro.Resolver | None) -> int | None:
    """Where the datum begins in every one of `values`, if the current schema wrote them all; else None."""
    prefix = shared_prefix(values)
    if not prefix:
        return None
    try:
        return len(prefix) if avro.is_current(name, parse(values[0]).schema, resolver) else None
    except CodecError:
        return None


def decode_batch(
    name: str, values: Sequence[bytes | None], resolver: avro.Resolver | None = None
) -> tuple[pa.RecordBatch, list[Undecodable]]:
    """Framed values to columns of the current schema `name`.

    The batch holds the good records in their order; every other value is listed with its index, in ascending order.
    Raises what `resolver` raises when a schema registry gives no answer.
    """
    start = _wholly_current(name, values, resolver)
    undecodable: list[Undecodable] = []
    if start is not None:
        data, indices = [value[start:] for value in values if value is not None], None
    else:
        data, found, undecodable = _datums(name, values, resolver)
        indices = found
    if not data:
        return _empty(name), undecodable
    bad: list[int] = []
    batches = _decode_around_bad(name, list(data), 0, bad)
    undecodable += [Undecodable(indices[at] if indices is not None else at, "undecodable") for at in bad]
    undecodable.sort()
    if not batches:
        return _empty(name), undecodable
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches), undecodable


def _empty(name: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=arrow_schema(name))


def encode_batch(name: str, batch: pa.RecordBatch, framing: avro.Framing = avro.SINGLE_OBJECT) -> list[bytes]:
    """Columns of the current schema `name` to framed values, row by row.

    Raises CodecError, naming the column, if `batch` has other columns or types.
    """
    expected = arrow_schema(name)
    for field in expected:
        at = batch.schema.get_field_index(field.name)
        if at < 0 or not batch.schema.field(at).type.equals(field.type):
            there = "missing" if at < 0 else f"{batch.schema.field(at).type} instead of {field.type}"
            raise CodecError("undecodable", f"column {field.name} of {name} is {there}")
    prefix = framing.prefix(name)
    if not _in_rust(name):
        return [prefix + avro.encode_datum(name, row) for row in _rows(batch)]
    ordered = pa.RecordBatch.from_arrays([batch.column(field.name) for field in expected], schema=expected)
    [data] = pyruhvro.serialize_record_batch(ordered, avro.schema_json(name), 1)
    framed: list[bytes] = pc.binary_join_element_wise(prefix, data, b"").to_pylist()
    return framed


def _rows(batch: pa.RecordBatch) -> list[avro.Record]:
    """Records as dicts; times as integers of their unit, which is what `writer` takes."""
    kinds = {field.name: _with_integers(field.type) for field in batch.schema}
    columns = {name: batch.column(name).cast(kind) for name, kind in kinds.items()}
    rows = pa.RecordBatch.from_pydict(columns).to_pylist()
    return [{name: _plain(value, kinds[name]) for name, value in row.items()} for row in rows]


def _with_integers(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.int64()
    if pa.types.is_list(kind):
        return pa.list_(_with_integers(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _with_integers(field.type)) for field in kind])
    return kind


def _plain(value: Any, kind: pa.DataType) -> Any:
    """A value as an Avro writer wants it: Arrow gives maps as lists of pairs and times as datetimes."""
    if value is None:
        return None
    if pa.types.is_map(kind):
        return dict(value)
    if pa.types.is_list(kind):
        return [_plain(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {field.name: _plain(value[field.name], field.type) for field in kind}
    return value
