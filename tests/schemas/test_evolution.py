"""Schemas evolve BACKWARD_TRANSITIVE: each reads whole what every one of its older versions wrote."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastavro.utils import generate_many

from proventrail.schemas import avro
from proventrail.schemas.evolution import breaks, problems
from proventrail.schemas.topics import SCHEMA_OF_TOPIC
from proventrail.schemas.wire import SINGLE_OBJECT_MAGIC
from proventrail.schemas.writer import compile_writer

Json = dict[str, Any]

OLD: Json = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "count", "type": "int"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["RUN", "JOB"]}},
        {"name": "parts", "type": {"type": "array", "items": {
            "type": "record", "name": "Part", "fields": [{"name": "name", "type": "string"}]}}},
        {"name": "facets", "type": {"type": "map", "values": "string"}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", avro.NAMES)
def test_the_newest_published_version_is_the_schema(name: str) -> None:
    """A schema that was changed needs a new file in schemas/history: readers find older writers there."""
    assert json.loads(avro.history(name)[-1]) == json.loads(avro.schema_json(name))


@pytest.mark.parametrize("name", avro.NAMES)
def test_every_version_reads_all_older_ones(name: str) -> None:
    assert breaks(avro.history(name)) == []


@pytest.mark.parametrize("name", avro.NAMES)
def test_records_of_every_older_version_are_read(name: str) -> None:
    """As a stage reads them: by the fingerprint in the frame, into the current schema, nothing lost."""
    for text in avro.history(name):
        prefix = SINGLE_OBJECT_MAGIC + avro._fingerprint_of(text)
        for record in generate_many(avro._parse(text), 25):
            assert keeps(avro.decode(name, prefix + compile_writer(json.loads(text))(record)), record)


def keeps(read: Any, written: Any) -> bool:
    """Whether all of `written` is in `read`, which may have more fields."""
    if isinstance(written, dict):
        return all(key in read and keeps(read[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(read) == len(written) and all(map(keeps, read, written))
    return bool(read == written)


def test_every_schema_has_a_topic() -> None:
    assert sorted(SCHEMA_OF_TOPIC.values()) == sorted(avro.NAMES)


def changed(change: Callable[[list[Json]], object]) -> str:
    new = copy.deepcopy(OLD)
    change(new["fields"])
    return json.dumps(new)


def _rename(fields: list[Json], at: int, **more: Any) -> None:
    fields[at] = {**fields[at], "name": "other", **more}


def _set_type(fields: list[Json], at: int, kind: Any) -> None:
    fields[at] = {**fields[at], "type": kind}


ALLOWED: dict[str, Callable[[list[Json]], object]] = {
    "a field with a default": lambda f: f.append({"name": "new", "type": "string", "default": ""}),
    "a wider number": lambda f: _set_type(f, 1, "long"),
    "a null more": lambda f: _set_type(f, 0, ["null", "string"]),
    "a symbol more": lambda f: f[3]["type"]["symbols"].append("DATASET"),
    "another order of fields": lambda f: f.reverse(),
    "a new name with the old as alias": lambda f: _rename(f, 0, aliases=["id"]),
}

BREAKING: dict[str, Callable[[list[Json]], object]] = {
    "a field without a default": lambda f: f.append({"name": "new", "type": "string"}),
    "another type": lambda f: _set_type(f, 0, "long"),
    "a narrower number": lambda f: _set_type(f, 1, "boolean"),
    "a null less": lambda f: _set_type(f, 2, "string"),
    "a symbol less": lambda f: f[3]["type"]["symbols"].remove("JOB"),
    "a new name": lambda f: _rename(f, 0),
    "a new name of a field with a default": lambda f: _rename(f, 2),
    "a field less": lambda f: f.pop(2),
    "a field less, deeper": lambda f: f[4]["type"]["items"]["fields"].clear(),
    "a field without a default, deeper": lambda f: f[4]["type"]["items"]["fields"].append({"name": "x", "type": "int"}),
    "other values": lambda f: _set_type(f, 5, {"type": "map", "values": "int"}),
}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_what_may_change(change: Callable[[list[Json]], object]) -> None:
    assert problems(changed(change), json.dumps(OLD)) == []


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING)
def test_what_must_not_change(change: Callable[[list[Json]], object]) -> None:
    assert problems(changed(change), json.dumps(OLD))


def test_a_removed_default_breaks_with_the_version_before_the_field() -> None:
    """It reads its predecessor, so only a transitive check finds it."""
    with_default = changed(lambda f: f.append({"name": "new", "type": "string", "default": ""}))
    without = changed(lambda f: f.append({"name": "new", "type": "string"}))
    assert problems(without, with_default) == []
    [found] = breaks([json.dumps(OLD), with_default, without])
    assert found.startswith("version 3 does not read version 1 whole: /fields/6")


def test_a_problem_names_the_field() -> None:
    assert problems(changed(lambda f: f.pop(2)), json.dumps(OLD)) == [
        "Event.note: a field of the older version is not read"
    ]
