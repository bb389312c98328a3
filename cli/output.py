"""Results as a table for people and as csv, json, jsonl or tsv for programs."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import re
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

FORMATS = ("table", "json", "jsonl", "csv", "tsv")
_PIPE_WIDTH = 160
"""Columns of a table that goes elsewhere than to a terminal."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

format_option = click.option(
    "--format",
    "fmt",
    type=click.Choice(FORMATS),
    default=None,
    help="Default: table on a terminal, tsv elsewhere.",
)


def printable(text: str) -> str:
    """Text of an event as a terminal may show it: a control character is written as `\\x1b` and does nothing."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def plain(value: Any) -> Any:
    """A value as JSON has it. What JSON has no number for (NaN, infinities) is null."""
    if isinstance(value, datetime.datetime):
        moment = value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
        return moment.isoformat(sep=" ") + "Z"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    value = plain(value)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    table = Table(header_style="bold")
    for name in columns:
        table.add_column(Text(printable(name)), overflow="fold")
    for row in rows:
        table.add_row(*[Text(printable(_text(value))) for value in row])
    terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), width=None if terminal else _PIPE_WIDTH, force_terminal=terminal)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n")


def render(columns: Sequence[str], rows: Sequence[Sequence[Any]], fmt: str | None) -> str:
    """The rows in a format of FORMATS; `fmt` None takes the default of where the output goes."""
    fmt = fmt or ("table" if sys.stdout.isatty() else "tsv")
    if fmt == "table":
        return _table(columns, rows) if columns else "no rows"
    if fmt in ("json", "jsonl"):
        objects = [dict(zip(columns, map(plain, row), strict=True)) for row in rows]
        if fmt == "json":
            return json.dumps(objects, ensure_ascii=False, indent=1)
        return "\n".join(json.dumps(item, ensure_ascii=False) for item in objects)
    if not columns:
        return ""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="," if fmt == "csv" else "\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_text(value) for value in row] for row in rows])
    return stream.getvalue().rstrip("\n")


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]], fmt: str | None) -> None:
    """Write the rows to standard output; nothing at all where there is nothing to write."""
    text = render(columns, rows, fmt)
    if text:
        click.echo(text)
