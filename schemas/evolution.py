"""Whether a schema may follow its older versions: BACKWARD_TRANSITIVE, and no field of any of them lost.

Schema resolution is judged by Apache Avro's own checker (Avro 1.12 specification, "Schema Resolution"). It lets a
reader drop a field of the writer; an audit log must not, so a field has to stay, or to live on as an alias.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import avro.schema as apache
from avro.compatibility import ReaderWriterCompatibilityChecker

Json = Any


def problems(reader: str, writer: str) -> list[str]:
    """Why records of the older schema `writer` can't be read whole by the newer `reader`; empty if they can.

    Both are JSON text. Each problem names what is wrong in `reader`.
    """
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    found = checker.get_compatibility(apache.parse(reader), apache.parse(writer))
    told = []
    if found.messages:
        places = ", ".join(sorted(found.locations - {"/"})) or "/"
        told = [f"{places}: {kind.value}" for kind in dict.fromkeys(found.incompatibilities)]
    return told + [f"{place}: a field of the older version is not read" for place in _lost(reader, writer)]


def _lost(reader: str, writer: str) -> Iterator[str]:
    """Fields of `writer` that no field of `reader` takes up, by the names of their records."""
    readers = {record["name"]: record for record in _records(json.loads(reader))}
    for record in _records(json.loads(writer)):
        kept = readers.get(record["name"], {"fields": []})
        names = {name for field in kept["fields"] for name in (field["name"], *field.get("aliases", ()))}
        yield from (f"{record['name']}.{field['name']}" for field in record["fields"] if field["name"] not in names)


def _records(schema: Json) -> Iterator[dict[str, Json]]:
    """Every record that is defined in `schema`."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _records(branch)
    elif isinstance(schema, dict):
        if schema.get("type") == "record":
            yield schema
        for inner in (schema.get("type"), schema.get("items"), schema.get("values"), schema.get("fields")):
            yield from _records(inner)


def breaks(versions: list[str]) -> list[str]:
    """Every pair of an older and a newer version (oldest first, numbered from 1) that breaks, and why."""
    return [
        f"version {newer + 1} does not read version {older + 1} whole: {problem}"
        for newer in range(len(versions))
        for older in range(newer)
        for problem in problems(versions[newer], versions[older])
    ]
