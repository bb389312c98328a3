"""Two verdicts on an OpenLineage event: lenient (can it be kept honestly?) and strict (does it follow the spec?).

Lenient is what intake asks: the shape that a record of `lineage_event` needs. Facets may hold anything that is JSON.
Strict adds the JSON Schemas of core and facets with `format` checked; see `strict`.
A problem names a place and a rule, never a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from proventrail.schemas.openlineage import parse_time

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
