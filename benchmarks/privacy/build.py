"""Builds the labelled corpus, the same bytes each time: `python -m benchmarks.privacy.build`.

Real recorded events carry the plants in the facets where such data is met; templates cover the other places.
"""

from __future__ import annotations

import json
import string
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.privacy.clean import FILLERS, strings
from benchmarks.privacy.places import ALONE, BARE, LABELLED, LABELS, MAKERS, OWN, SQL, TOKEN_KINDS, TOKENS
from benchmarks.privacy.values import email, phone_national

VERSION = 1
SEED = 20261124
PER_KIND = 68
CLEAN = 6000
FOLDER = Path(__file__).parent / "corpus"
RECORDED = Path(__file__).parents[2] / "examples" / "recorded"


def case(random: Random, kind: str, place: str, template: str, label: str = "") -> dict[str, object]:
    """One text with its planted spans: [start, end, kind]."""
    text, spans, way = "", [], "sql" if place in ("sql", "sql-comment") else "uri" if place == "uri" else "text"
    for literal, name, _, _ in string.Formatter().parse(template):
        text += literal
        if name is None:
            continue
        if name in ("v", "v2", "n", "mail"):
            value = {"n": phone_national, "mail": email}.get(name, MAKERS[kind])(random)
            if way == "sql" and "'" in value:
                value = value.replace("'", "")
            spans.append([len(text), len(text) + len(value), "email" if name == "mail" else kind])
            text += value
        elif name == "label":
            text += label
        elif name == "column_name":
            plain = unicodedata.normalize("NFKD", label.lower()).encode("ascii", "ignore").decode()
            text += "".join(char if char.isalnum() else "_" for char in plain)
        else:
            text += FILLERS[name](random)
    return {"way": way, "place": place, "kind": kind, "text": text, "spans": spans}


def templates(kind: str) -> list[tuple[str, str]]:
    found = list(OWN.get(kind, ()))
    if kind in LABELS:
        found += LABELLED + [("sql", template) for template in SQL]
    if kind in ALONE:
        found += BARE
    if kind in TOKEN_KINDS:
        found += TOKENS
    return found


def plants(random: Random) -> Iterator[dict[str, object]]:
    for kind in MAKERS:
        choices = templates(kind)
        for number in range(PER_KIND):
            place, template = choices[number % len(choices)]
            label = random.choice(LABELS.get(kind, [""]))
            yield case(random, kind, place, template, label)
    yield from in_events(random)


def in_events(random: Random) -> Iterator[dict[str, object]]:
    """Recorded events with an error message, a query and environment variables that hold a plant."""
    events = [json.loads(path.read_text()) for path in sorted(RECORDED.glob("dbt/events/*.json"))]
    kinds = [kind for kind in MAKERS if kind != "private-key"]
    for number in range(180):
        event = events[number % len(events)]
        kind = kinds[number % len(kinds)]
        options = [(place, template) for place, template in templates(kind) if place in ("error", "env", "log", "free")]
        place, template = random.choice(options or templates(kind))
        inner = case(random, kind, place, template, random.choice(LABELS.get(kind, [""])))
        facet = {
            "run": event.get("run", {}).get("runId"),
            "job": event.get("job", {}).get("name"),
            "eventTime": event.get("eventTime"),
            "producer": event.get("producer"),
            "message": "\0",
        }
        before, after = json.dumps(facet, ensure_ascii=False).split("\\u0000")
        text = json.dumps(inner["text"], ensure_ascii=False)[1:-1]
        if text != inner["text"]:
            continue
        spans = [[start + len(before), end + len(before), name] for start, end, name in inner["spans"]]  # type: ignore[attr-defined]
        yield {"way": "text", "place": "event", "kind": kind, "text": before + text + after, "spans": spans}


def recorded_strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from recorded_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from recorded_strings(item)


def clean(random: Random) -> Iterator[str]:
    found: dict[str, None] = {}
    for path in sorted(RECORDED.rglob("*.json")):
        found.update(dict.fromkeys(recorded_strings(json.loads(path.read_text()))))
    while len(found) < CLEAN:
        found[strings(random)] = None
    return iter(found)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    random = Random(SEED)
    with (FOLDER / f"plants-v{VERSION}.jsonl").open("w") as out:
        out.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in plants(random))
    with (FOLDER / f"clean-v{VERSION}.jsonl").open("w") as out:
        out.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in clean(random))


if __name__ == "__main__":
    main()
