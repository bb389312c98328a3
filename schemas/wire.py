"""How an Avro datum is framed in a Kafka record.

Single-object encoding (Avro 1.12 specification, "Single-object encoding"): `C3 01`, the CRC-64-AVRO fingerprint of the
writer schema's parsing canonical form (8 bytes, little-endian), the datum. Used when there is no schema registry.
Confluent wire format: `00`, the registry's schema id (4 bytes, big-endian), the datum.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

SINGLE_OBJECT_MAGIC = b"\xc3\x01"
CONFLUENT_MAGIC = b"\x00"

Reason = Literal["empty", "unknown-framing", "unknown-schema", "undecodable"]


class CodecError(ValueError):
    """Bytes that are no record of ours, or a record that does not fit its schema. `code` is stable."""

    def __init__(self, code: Reason, message: str) -> None:
        super().__init__(message)
        self.code: Reason = code


class Frame(NamedTuple):
    """Where the datum begins, and which schema wrote it: a fingerprint (8 bytes) or a registry id."""

    schema: bytes | int
    start: int


def parse(data: bytes | None) -> Frame:
    """The frame of a record value. Raises CodecError `empty` or `unknown-framing`."""
    if not data:
        raise CodecError("empty", "the record has no value")
    if data[:2] == SINGLE_OBJECT_MAGIC and len(data) >= 10:
        return Frame(data[2:10], 10)
    if data[:1] == CONFLUENT_MAGIC and len(data) >= 5:
        return Frame(int.from_bytes(data[1:5], "big"), 5)
    raise CodecError("unknown-framing", "the record is framed neither as Avro single object nor by a schema registry")


def confluent_prefix(schema_id: int) -> bytes:
    return CONFLUENT_MAGIC + schema_id.to_bytes(4, "big")
