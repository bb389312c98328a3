"""Rules that the Avro schemas bring: a field with the property `"pii": "KIND"` is pseudonymised as that kind.

They stand behind all rules of a policy, which may therefore say otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from proventrail.privacy.policy.model import Rule
from proventrail.schemas import avro

_NAMES = {"source": "producer"}
"""Fields that a policy knows by another name than the schema."""


@cache
def annotated() -> tuple[Rule, ...]:
    """The rules of the fields of `lineage_event` that carry `pii`; lists and unions are looked into."""
    schema = json.loads(avro.schema_json("lineage_event"))
    found = _fields(schema, "", {})
    return tuple(Rule(path=[path], transform="pseudonymise", kind=kind) for path, kind in found)


def _fields(schema: Any, path: str, named: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(schema, str):
        schema = named.get(schema, {})
    if isinstance(schema, list):
        for branch in schema:
            yield from _fields(branch, path, named)
        return
    kind = schema.get("type")
    if kind == "array":
        yield from _fields(schema["items"], path, named)
    elif kind == "record":
        named[schema["name"]] = schema
        for field in schema["fields"]:
            name = _NAMES.get(field["name"], field["name"])
            below = f"{path}.{name}" if path else name
            if "pii" in field:
                yield below, field["pii"]
            yield from _fields(field["type"], below, named)
