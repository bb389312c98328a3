"""The corpus of `../shared/openlineage` as events, and the table of both verdicts on it in docs/openlineage.md.

`python -m tests.schemas.corpus` writes the table anew.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from proventrail.schemas.verdict import Problem, lenient, strict

REPOSITORY = Path(__file__).resolve().parents[2]
CORPUS = REPOSITORY.parent / "shared" / "openlineage"
DOCUMENT = REPOSITORY / "docs" / "openlineage.md"
BEGIN, END = "<!-- corpus: begin -->\n", "<!-- corpus: end -->\n"

_START = datetime(2026, 1, 1, tzinfo=UTC)
_SHOWN = 2

Json = dict[str, Any]


@dataclass(frozen=True)
class CorpusFile:
    """A file of the corpus: its path in it, what it is, and its content as events."""

    path: str
    what: str
    events: list[Any]


def corpus_files(corpus: Path) -> Iterator[CorpusFile]:
    """Every JSON file below `corpus` but the JSON Schemas, sorted by path."""
    for path in sorted(corpus.rglob("*.json")):
        name = path.relative_to(corpus).as_posix()
        if not name.startswith("spec_schemas/"):
            yield CorpusFile(name, *_events(name, path.read_text(encoding="utf-8")))


def _events(name: str, text: str) -> tuple[str, list[Any]]:
    if name.endswith(".template.json"):
        return "template, filled in", _as_list(json.loads(_filled(text)))
    content = json.loads(text)
    if name.endswith(("/config.json", "/maintainers.json")):
        return "no event", _as_list(content)
    if "_schemaURL" in content:
        # The one facet that lies there without its name.
        return "facet, put into an event", [_around({"nominalTime": content})]
    if name.startswith("spec_tests/") and "eventTime" not in content:
        return "facet, put into an event", [_around(content)]
    return "event" if isinstance(content, dict) else "events", _as_list(content)


def _as_list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _filled(template: str) -> str:
    def moment(match: re.Match[str]) -> str:
        return (_START + timedelta(minutes=int(match[1] or 0))).isoformat()

    return re.sub(r"\{\{RUN_(?:START_TIME|END_TIME_AFTER_(\d+)_MINUTES)\}\}", moment, template)


def _around(facets: Json) -> Json:
    """A small valid event that holds `facets`, a single one, where its schema says that it belongs."""
    [facet] = facets.values()
    definition = str(facet["_schemaURL"]).rsplit("/", 1)[-1].removesuffix(".json")
    data: Json = {"namespace": "n", "name": "d"}
    event: Json = {
        "eventTime": "2026-01-01T00:00:00Z",
        "producer": "https://example.org/test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "eventType": "COMPLETE",
        "run": {"runId": "01938a6e-5b6f-7000-8000-000000000000"},
        "job": {"namespace": "n", "name": "j"},
    }
    if definition.endswith("RunFacet"):
        event["run"]["facets"] = facets
    elif definition.endswith("JobFacet"):
        event["job"]["facets"] = facets
    elif "Input" in definition:
        event["inputs"] = [{**data, "inputFacets": facets}]
    elif "Output" in definition:
        event["outputs"] = [{**data, "outputFacets": facets}]
    else:
        event["outputs"] = [{**data, "facets": facets}]
    return event


def _told(events: list[Any], judge: Callable[[Any], list[Problem]], good: str) -> str:
    found = [judge(event) for event in events]
    refused = [problems for problems in found if problems]
    if not refused:
        return good
    problems = list(dict.fromkeys(problem for problems in refused for problem in problems))
    text = "; ".join(f"`{problem.path}` {problem.reason}" for problem in problems[:_SHOWN])
    more = f"; {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    some = f"{len(refused)} of {len(events)}: " if len(refused) < len(events) else ""
    return some + text + more


def table(corpus: Path) -> str:
    """The table in Markdown, one row per file."""
    by_schemas = partial(strict, spec=str(corpus / "spec_schemas"))
    lines = ["| file | what | lenient | strict |", "|---|---|---|---|"]
    for file in corpus_files(corpus):
        if file.what == "no event":
            assert all(lenient(event) and by_schemas(event) for event in file.events)
            lines.append(f"| `{file.path}` | no event | refused | refused |")
            continue
        count = f"{len(file.events)} × " if len(file.events) > 1 else ""
        verdicts = f"{_told(file.events, lenient, 'taken')} | {_told(file.events, by_schemas, 'passes')}"
        lines.append(f"| `{file.path}` | {count}{file.what} | {verdicts} |")
    return "\n".join(lines) + "\n"


def rewritten(document: str, corpus: Path) -> str:
    """`document` with the table between its two marks made anew."""
    before, rest = document.split(BEGIN)
    return before + BEGIN + "\n" + table(corpus) + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    if not CORPUS.is_dir():
        sys.exit(f"{CORPUS} is not there")
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8"), CORPUS), encoding="utf-8")
