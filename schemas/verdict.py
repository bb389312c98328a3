"""Two verdicts on an OpenLineage event: lenient (can it be kept honestly?) and strict (does it follow the spec?).

Lenient is what intake asks: the shape that a record of `lineage_event` needs. Facets may hold anything that is JSON.
Strict adds the JSON Schemas of core and facets with `format` checked; they are the user's to bring, see `strict`.
A problem names a place and a rule, never a value.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from proventrail.schemas.openlineage import kind_of, parse_time

MAX_DATASETS = 50_000
"""Inputs and outputs of one event, each."""


@dataclass(frozen=True)
class Problem:
    """Where an event is wrong, as a JSON path (`$.inputs[0].name`), and what would be right."""

    path: str
    reason: str


def lenient(obj: Any) -> list[Problem]:
    """What keeps the event from being stored; empty if nothing does."""
    if not isinstance(obj, dict):
        return [Problem("$", "must be a JSON object")]
    return list(_problems(obj))


def _problems(obj: dict[str, Any]) -> Iterator[Problem]:
    if parse_time(obj.get("eventTime")) is None:
        yield Problem("$.eventTime", "must be an ISO 8601 date-time, for example 2026-11-24T09:30:00Z")
    elif not _in_range(obj["eventTime"]):
        yield Problem("$.eventTime", "must lie between the years 1970 and 2200")
    if not ("run" in obj or "job" in obj or "dataset" in obj):
        yield Problem("$", "must have run and job (a run event), job (a job event) or dataset (a dataset event)")
        return
    if "run" in obj:
        yield from _run(obj["run"])
    if "job" in obj or "run" in obj:
        yield from _named(obj.get("job"), "$.job")
    if "dataset" in obj:
        yield from _named(obj["dataset"], "$.dataset")
    for side in ("inputs", "outputs"):
        yield from _datasets(obj.get(side), f"$.{side}")


def _in_range(text: str) -> bool:
    micros = parse_time(text)
    return micros is not None and 0 <= micros < 7_258_118_400_000_000


def _run(run: Any) -> Iterator[Problem]:
    if not isinstance(run, dict):
        yield Problem("$.run", "must be an object")
        return
    if not isinstance(run.get("runId"), str) or not run["runId"]:
        yield Problem("$.run.runId", "must be a string that is not empty")
    yield from _facets(run, "$.run")


def _named(thing: Any, path: str) -> Iterator[Problem]:
    if not isinstance(thing, dict):
        yield Problem(path, "must be an object with namespace and name")
        return
    for key in ("namespace", "name"):
        if not isinstance(thing.get(key), str) or not thing[key]:
            yield Problem(f"{path}.{key}", "must be a string that is not empty")
    yield from _facets(thing, path)


def _facets(holder: dict[str, Any], path: str) -> Iterator[Problem]:
    for key in ("facets", "inputFacets", "outputFacets"):
        facets = holder.get(key)
        if facets is not None and not isinstance(facets, dict):
            yield Problem(f"{path}.{key}", "must be an object of facets by name")


def _datasets(datasets: Any, path: str) -> Iterator[Problem]:
    if datasets is None:
        return
    if not isinstance(datasets, list):
        yield Problem(path, "must be an array of datasets")
        return
    if len(datasets) > MAX_DATASETS:
        yield Problem(path, f"must not have more than {MAX_DATASETS} datasets")
        return
    for index, dataset in enumerate(datasets):
        yield from _named(dataset, f"{path}[{index}]")


# -- strict ------------------------------------------------------------------------------------------------------------

_DEFINITION = {"RUN": "RunEvent", "JOB": "JobEvent", "DATASET": "DatasetEvent"}

SPEC_ENV = "PROVENTRAIL_OPENLINEAGE_SPEC"
"""Folder of OpenLineage's `spec`: `OpenLineage.json`, and below it the facets' schemas."""


class SpecMissing(Exception):
    """The strict verdict needs OpenLineage's JSON Schemas, and they are not where they should be."""


@cache
def _schemas(folder: str) -> dict[str, Any]:
    """File name -> JSON Schema, of every schema below `folder`."""
    found = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).rglob("*.json"))}
    if "OpenLineage.json" not in found:
        raise SpecMissing(
            f"{folder} has no OpenLineage.json: set {SPEC_ENV} to the folder `spec` of a checkout of OpenLineage, "
            "or take events by the lenient verdict"
        )
    return found


@cache
def _validator(folder: str, name: str, definition: str) -> Any:
    """A validator of `definition` in the schema file `name`; references resolve to the files of the folder."""
    from jsonschema import Draft202012Validator, FormatChecker
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    schemas = _schemas(folder)

    def retrieve(uri: str) -> Resource[Any]:
        return Resource.from_contents(schemas[uri.rsplit("/", 1)[-1]], default_specification=DRAFT202012)

    registry: Any = Registry(retrieve=retrieve)  # type: ignore[call-arg]
    reference = {"$ref": f"{schemas[name]['$id']}#/$defs/{definition}"}
    return Draft202012Validator(reference, registry=registry, format_checker=FormatChecker())


def _violations(validator: Any, value: Any, path: str) -> Iterator[Problem]:
    for error in validator.iter_errors(value):
        for leaf in _leaves(error):
            rule = leaf.validator_value if leaf.validator in ("format", "type", "required", "const") else ""
            where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in leaf.absolute_path)
            yield Problem(path + where, f"breaks the rule {leaf.validator} {rule}".strip())


def _leaves(error: Any) -> Iterator[Any]:
    if not error.context:
        yield error
    for inner in error.context or ():
        yield from _leaves(inner)


def strict(obj: Any, spec: str | None = None) -> list[Problem]:
    """Where an event breaks OpenLineage's JSON Schemas (core and facets, with formats); empty if nowhere.

    A facet is held to the schema file that its `_schemaURL` names, in the version we have; an unknown one to the rules
    of all facets. Raises SpecMissing.
    """
    found = lenient(obj)
    if not isinstance(obj, dict):
        return found
    folder = spec or os.environ.get(SPEC_ENV, "")
    if not folder:
        raise SpecMissing(f"set {SPEC_ENV} to the folder `spec` of a checkout of OpenLineage")
    found += _violations(_validator(folder, "OpenLineage.json", _DEFINITION[kind_of(obj)]), obj, "$")
    for path, facet in _all_facets(obj):
        url = facet.get("_schemaURL") if isinstance(facet, dict) else None
        address, _, pointer = str(url or "").partition("#")
        file = address.rsplit("/", 1)[-1]
        # Many clients name the file alone: the definition in it is called like the file.
        definition = pointer.rsplit("/", 1)[-1] or file.removesuffix(".json")
        schema = _schemas(folder).get(file)
        if schema is not None and definition in schema.get("$defs", {}) and file != "OpenLineage.json":
            found += _violations(_validator(folder, file, definition), facet, path)
    return sorted(set(found), key=lambda problem: (problem.path, problem.reason))


def _all_facets(obj: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    holders = [(f"$.{name}", obj.get(name)) for name in ("run", "job", "dataset")]
    for side in ("inputs", "outputs"):
        datasets = obj.get(side)
        holders += [(f"$.{side}[{i}]", d) for i, d in enumerate(datasets if isinstance(datasets, list) else [])]
    for path, holder in holders:
        for key in ("facets", "inputFacets", "outputFacets"):
            facets = holder.get(key) if isinstance(holder, dict) else None
            for name, facet in (facets if isinstance(facets, dict) else {}).items():
                yield f"{path}.{key}.{name}", facet
