"""Files of OpenLineage events: which there are, and the events in them, each with its place."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from proventrail.gateway.parse import Malformed, parse_json

STDIN = Path("-")
_KINDS = ("json", "jsonl", "ndjson")
_LINES = (".jsonl", ".ndjson")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Event:
    """One event as JSON text, and the file and line (or index in an array) where it stands."""

    place: str
    text: bytes


@dataclass(frozen=True)
class Unreadable:
    """A file or a line that is not JSON; `reason` holds no value of it."""

    place: str
    reason: str


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files named, and all *.json, *.jsonl and *.ndjson below the folders named, also with .gz."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            names = [f"*.{kind}{packed}" for kind in _KINDS for packed in ("", ".gz")]
            found += sorted(file for name in names for file in path.rglob(name))
        else:
            found.append(path)
    return found


def events_of(path: Path) -> Iterator[Event | Unreadable]:
    """The events of a file: one event, an array of events, or one event (or array) a line; gzip or not.

    `-` is standard input. A recorded HTTP request counts as its body. After a line that is not JSON the next ones
    follow; a file that is no JSON at all is one Unreadable.
    """
    try:
        if path == STDIN:
            yield from _events("stdin", False, click.get_binary_stream("stdin"))
        else:
            with path.open("rb") as stream:
                yield from _events(str(path), path.name.removesuffix(".gz").endswith(_LINES), stream)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield Unreadable(str(path), "the gzip file is damaged or ends too early")
    except OSError as error:
        yield Unreadable(str(path), f"cannot be read ({error.strerror})")


def _events(name: str, is_lines: bool, raw: BinaryIO) -> Iterator[Event | Unreadable]:
    stream = io.BufferedReader(cast(io.RawIOBase, raw))
    packed = stream.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
    numbered = enumerate(gzip.GzipFile(fileobj=stream) if packed else stream, 1)
    first = next(((number, line) for number, line in numbered if line.strip()), None)
    if first is None:
        return
    if is_lines or _is_json(first[1]):
        for number, line in itertools.chain([first], numbered):
            if line.strip():
                yield from _line(f"{name}:{number}", line.strip())
        return
    # Not one event a line. Line feeds before the text keep the line numbers of errors right.
    yield from _document(name, b"\n" * (first[0] - 1) + first[1] + b"".join(line for _, line in numbered))


def _line(place: str, text: bytes) -> Iterator[Event | Unreadable]:
    for found in _document(place, text):
        # The line is in the place already.
        yield Unreadable(place, found.reason.replace("line 1, ", "")) if isinstance(found, Unreadable) else found


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line)
    except Malformed:
        return False
    return True


def _document(place: str, text: bytes) -> Iterator[Event | Unreadable]:
    try:
        content = parse_json(text.removeprefix(b"\xef\xbb\xbf"))
    except Malformed as error:
        yield Unreadable(place, str(error))
        return
    if isinstance(content, list):
        for index, item in enumerate(content):
            yield Event(f"{place}[{index}]", _compact(_body(item)))
        return
    body = _body(content)
    if isinstance(body, list):
        yield from (Event(f"{place}[{index}]", _compact(item)) for index, item in enumerate(body))
    else:
        yield Event(place, text if body is content else _compact(body))


def _body(item: Any) -> Any:
    """The body of a recorded HTTP request; anything else as it is."""
    is_request = isinstance(item, dict) and {"method", "headers", "body"} <= item.keys()
    return item["body"] if is_request else item


def _compact(event: Any) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
