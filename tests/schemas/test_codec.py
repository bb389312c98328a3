"""Framing, the compiled writer, and columns: two codecs, the same rows and the same refusals."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import Any

import fastavro
import fastavro.schema
import pytest
from fastavro.utils import generate_many
from hypothesis import given, settings
from hypothesis import strategies as st

from proventrail.schemas import avro
from proventrail.schemas.columns import Undecodable, _rows, arrow_schema, decode_batch, encode_batch
from proventrail.schemas.wire import CodecError, confluent_prefix, parse
from proventrail.schemas.writer import compile_writer


def records(name: str, n: int) -> list[dict[str, Any]]:
    return list(generate_many(avro.schema(name), n))


def by_fastavro(name: str, record: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, avro.schema(name), record)
    return buffer.getvalue()


@pytest.mark.parametrize("name", avro.NAMES)
def test_the_compiled_writer_writes_what_fastavro_writes(name: str) -> None:
    for record in records(name, 50):
        assert avro.encode_datum(name, record) == by_fastavro(name, record)
        assert avro.decode(name, avro.encode(name, record)) == record


@given(st.integers(-(2**63), 2**63 - 1))
def test_the_compiled_writer_writes_all_longs(value: int) -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]}
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(dict(schema)), {"n": value})
    assert compile_writer(schema)({"n": value}) == buffer.getvalue()


def test_a_record_that_does_not_fit_is_refused_without_its_value() -> None:
    record = {**records("catalog_entry", 1)[0], "namespace": 12345678}
    with pytest.raises(CodecError) as caught:
        avro.encode("catalog_entry", record)
    assert "12345678" not in str(caught.value)
    with pytest.raises(CodecError):
        avro.encode("catalog_entry", {})


def test_the_fingerprint_is_the_one_of_the_specification() -> None:
    """Avro 1.12, "Schema Fingerprints": CRC-64-AVRO of "int" is 7275d51a3f395c8f; frames carry it little-endian."""
    assert fastavro.schema.fingerprint('"int"', "CRC-64-AVRO") == bytes.fromhex("7275d51a3f395c8f")[::-1].hex()
    for name in avro.NAMES:
        assert avro.single_object_prefix(name) == b"\xc3\x01" + avro.fingerprint(name)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\x00\x01", "unknown-framing"),
        (b"{}", "unknown-framing"),
        (b"\xc3\x01" + b"\xff" * 8 + b"x", "unknown-schema"),
        (confluent_prefix(7) + b"x", "unknown-schema"),
    ],
)
def test_what_is_no_record_has_a_code(data: bytes | None, code: str) -> None:
    with pytest.raises(CodecError) as caught:
        avro.decode("lineage_event", data)
    assert caught.value.code == code
    assert decode_batch("lineage_event", [data])[1] == [Undecodable(0, code)]


def test_a_registry_id_is_resolved() -> None:
    record = records("catalog_entry", 1)[0]
    data = confluent_prefix(7) + avro.encode_datum("catalog_entry", record)
    assert parse(data).schema == 7
    assert avro.decode("catalog_entry", data, lambda _: avro.schema_json("catalog_entry")) == record
    batch, bad = decode_batch("catalog_entry", [data], lambda _: avro.schema_json("catalog_entry"))
    assert (len(batch), bad) == (1, [])


def test_an_older_writer_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version without the last field, as a registry would give it: the field takes its default."""
    older = json.loads(avro.schema_json("lineage_event"))
    gone = older["fields"].pop()
    assert "default" in gone
    record = {key: value for key, value in records("lineage_event", 1)[0].items() if key != gone["name"]}
    data = confluent_prefix(3) + compile_writer(older)(record)
    batch, bad = decode_batch("lineage_event", [data], lambda _: json.dumps(older))
    assert bad == []
    assert batch.column(gone["name"]).to_pylist() == [gone["default"]]


@pytest.mark.parametrize("name", avro.NAMES)
def test_columns_come_back_as_the_same_bytes(name: str) -> None:
    values = [avro.encode(name, record) for record in records(name, 30)]
    batch, bad = decode_batch(name, values)
    assert bad == []
    assert batch.schema == arrow_schema(name)
    assert encode_batch(name, batch) == values
    assert encode_batch(name, batch.slice(5, 7)) == values[5:12]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_value_is_a_row_or_refused(data: st.DataObject) -> None:
    """Among good records garbage, cuts and flips: every index is told, and good neighbours are kept."""
    good = [avro.encode("lineage_event", record) for record in GOOD]
    values: list[bytes | None] = list(good)
    spoiled = data.draw(st.sets(st.integers(0, len(good) - 1), max_size=4))
    for index in spoiled:
        whole = good[index]
        cut = data.draw(st.integers(0, len(whole) - 1))
        values[index] = data.draw(st.sampled_from([None, b"", whole[:cut], b"garbage", whole[:10]]))
    batch, bad = decode_batch("lineage_event", values)
    refused = {item.index for item in bad}
    assert len(batch) + len(bad) == len(values)
    assert refused <= spoiled
    assert batch.column("id").to_pylist() == [
        GOOD[i]["id"] if i not in spoiled else batch.column("id")[i - sum(r < i for r in refused)].as_py()
        for i in range(len(good))
        if i not in refused
    ]


GOOD = records("lineage_event", 12)


def test_invalid_utf8_is_refused() -> None:
    record = {**GOOD[0], "source": "MARK"}
    spoiled = avro.encode("lineage_event", record).replace(b"MARK", b"\xff\xfe\xff\xfe")
    batch, bad = decode_batch("lineage_event", [spoiled, avro.encode("lineage_event", GOOD[1])])
    assert (len(batch), bad) == (1, [Undecodable(0, "undecodable")])


_OTHER = """
import sys, pickle
from proventrail.schemas.columns import decode_batch, encode_batch, _in_rust
name, values = pickle.load(sys.stdin.buffer)
assert not _in_rust(name)
batch, bad = decode_batch(name, values)
refused = [(b.index, b.reason) for b in bad]
sys.stdout.buffer.write(pickle.dumps((batch, refused, encode_batch(name, batch))))
"""


@pytest.mark.parametrize("name", ["lineage_event", "refined_event", "observation"])
def test_the_fallback_codec_agrees(name: str) -> None:
    import pickle

    values: list[bytes | None] = [avro.encode(name, record) for record in records(name, 25)]
    values[3], values[7], values[11] = None, b"junk", (values[11] or b"")[:-2]
    batch, bad = decode_batch(name, values)
    done = subprocess.run(
        [sys.executable, "-c", _OTHER],
        input=pickle.dumps((name, values)),
        capture_output=True,
        env={**os.environ, "PROVENTRAIL_CODEC": "fastavro"},
        check=True,
    )
    rows, refused, encoded = pickle.loads(done.stdout)
    assert refused == [(b.index, b.reason) for b in bad]
    assert encoded == encode_batch(name, batch)
    assert rows.schema.names == batch.schema.names
    assert _rows(rows) == _rows(batch)


def test_a_wrong_column_is_named() -> None:
    batch, _ = decode_batch("observation", [avro.encode("observation", records("observation", 1)[0])])
    with pytest.raises(CodecError, match="column bucket of observation is missing"):
        encode_batch("observation", batch.drop_columns(["bucket"]))
