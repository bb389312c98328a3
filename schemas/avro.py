"""Single records as Avro: encoding for the SDK, decoding that resolves what older versions wrote.

Needs fastavro alone. Whole batches go through `columns`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import fastavro
import fastavro.read
import fastavro.schema

from proventrail.schemas.wire import SINGLE_OBJECT_MAGIC, CodecError, confluent_prefix, parse
from proventrail.schemas.writer import Write, compile_writer

Record = dict[str, Any]
Resolver = Callable[[int], str]
"""Gives the schema (JSON text) of a registry id.

Raises CodecError `unknown-schema` if there is no such id; RegistryUnavailable if that can't be told now: then the
record is neither good nor bad, and must wait."""

NAMES = ("lineage_event", "refined_event", "dead_letter", "observation", "catalog_entry")


@cache
def schema_json(name: str) -> str:
    """The current schema `name` as JSON text."""
    return files("proventrail.schemas").joinpath("avro", f"{name}.avsc").read_text(encoding="utf-8")


@cache
def schema(name: str) -> dict[str, Any]:
    """The current schema `name`, parsed by fastavro; without logical types."""
    return _parse(schema_json(name))


def _without_logical(schema: Any) -> Any:
    """Logical types taken off: times are the integers that are on the wire, for writers and readers alike."""
    if isinstance(schema, dict):
        return {key: _without_logical(value) for key, value in schema.items() if key != "logicalType"}
    return [_without_logical(item) for item in schema] if isinstance(schema, list) else schema


def _parse(text: str) -> dict[str, Any]:
    parsed = fastavro.parse_schema(_without_logical(json.loads(text)), _force=True)
    if not isinstance(parsed, dict):
        raise CodecError("unknown-schema", "a schema of ours is a record")
    return parsed


def _fingerprint_of(text: str) -> bytes:
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
    # fastavro gives the fingerprint as hexadecimal digits of its little-endian bytes.
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


@cache
def fingerprint(name: str) -> bytes:
    """CRC-64-AVRO of the current schema's parsing canonical form, 8 bytes, little-endian as in a frame."""
    return _fingerprint_of(schema_json(name))


@cache
def single_object_prefix(name: str) -> bytes:
    """The 10 bytes before a datum of the current schema."""
    return SINGLE_OBJECT_MAGIC + fingerprint(name)


@dataclass(frozen=True)
class Framing:
    """How a writer frames: by the registry's id of each schema in `ids` (name -> id), else as a single object."""

    ids: Mapping[str, int] = field(default_factory=dict)

    def prefix(self, name: str) -> bytes:
        """The bytes before a datum of the current schema `name`."""
        schema_id = self.ids.get(name)
        return single_object_prefix(name) if schema_id is None else confluent_prefix(schema_id)


SINGLE_OBJECT = Framing()


def history(name: str) -> list[str]:
    """Every published version of the schema `name` as JSON text, the oldest first."""
    folder = files("proventrail.schemas").joinpath("history", name)
    numbered = {int(entry.name.removesuffix(".avsc")): entry for entry in folder.iterdir()}
    return [numbered[number].read_text(encoding="utf-8") for number in sorted(numbered)]


@cache
def _history(name: str) -> dict[bytes, dict[str, Any]]:
    """Fingerprint -> parsed schema of every published version of `name`."""
    return {_fingerprint_of(text): _parse(text) for text in history(name)}


@lru_cache(maxsize=256)
def _registered(text: str) -> tuple[bytes, dict[str, Any]]:
    """Fingerprint and parsed form of a schema that a registry gave."""
    try:
        return _fingerprint_of(text), _parse(text)
    except (ValueError, KeyError, TypeError, fastavro.schema.SchemaParseException) as error:
        raise CodecError(
            "unknown-schema", f"what the schema registry has under this id is no Avro schema ({type(error).__name__})"
        ) from None


def is_current(name: str, reference: bytes | int, resolver: Resolver | None = None) -> bool:
    """Whether a datum framed with `reference` is one of the current schema `name`. Raises CodecError."""
    if isinstance(reference, int):
        return _registered(_asked(reference, resolver))[0] == fingerprint(name)
    return reference == fingerprint(name)


def _asked(schema_id: int, resolver: Resolver | None) -> str:
    if resolver is None:
        raise CodecError("unknown-schema", f"schema id {schema_id} needs a schema registry, and none is configured")
    return resolver(schema_id)


def writer_schema(name: str, reference: bytes | int, resolver: Resolver | None = None) -> dict[str, Any]:
    """The schema that wrote a record framed with `reference`. Raises CodecError `unknown-schema`."""
    if isinstance(reference, int):
        return _registered(_asked(reference, resolver))[1]
    if reference == fingerprint(name):
        return schema(name)
    found = _history(name).get(reference)
    if found is None:
        raise CodecError("unknown-schema", f"no version of {name} has the fingerprint {reference.hex()}")
    return found


@cache
def _writer(name: str) -> Write:
    return compile_writer(json.loads(schema_json(name)))


def encode_datum(name: str, record: Record) -> bytes:
    """`record` by the current schema, without a frame. Raises CodecError if it does not fit."""
    try:
        return _writer(name)(record)
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
        # The message of the cause may quote a value: it must not go on.
        raise CodecError("undecodable", f"the record does not fit the schema {name} ({type(error).__name__})") from None


def encode(name: str, record: Record, framing: Framing = SINGLE_OBJECT) -> bytes:
    """`record`, framed. Raises CodecError if it does not fit the schema."""
    return framing.prefix(name) + encode_datum(name, record)


def decode(name: str, data: bytes | None, resolver: Resolver | None = None) -> Record:
    """A framed record, resolved to the current schema; times as integers of their unit.

    Raises CodecError with a code that says what is wrong.
    """
    frame = parse(data)
    assert data is not None
    written = writer_schema(name, frame.schema, resolver)
    try:
        found = fastavro.schemaless_reader(BytesIO(data[frame.start :]), written, schema(name))
    except fastavro.read.SchemaResolutionError:
        raise CodecError("unknown-schema", f"the schema that wrote it can't be resolved to {name}") from None
    except (ValueError, TypeError, IndexError, KeyError, EOFError, OverflowError, MemoryError) as error:
        raise CodecError("undecodable", f"not a datum of {name} ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise CodecError("undecodable", f"not a record of {name}")
    return found
