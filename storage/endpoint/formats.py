"""Streaming results: which formats chDB gives block by block, and how the others are made from those.

chDB writes each block as a whole document of its format. Formats without a head or a foot can be joined; those with a
head of names and types get it from `DESCRIBE`. Other formats (JSON, Parquet, Pretty ...) are made in one piece.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

Columns = list[tuple[str, str]]
"""Name and type of each column of a result."""


def _leb128(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def _binary(texts: list[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(_leb128(len(text)) + text for text in encoded)


def _row_binary(columns: Columns, types: bool) -> bytes:
    names = _leb128(len(columns)) + _binary([name for name, _ in columns])
    return names + (_binary([kind for _, kind in columns]) if types else b"")


def _tsv(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("'", "\\'")


def _lines(columns: Columns, types: bool, line: Callable[[list[str]], str]) -> bytes:
    rows = [[name for name, _ in columns]] + ([[kind for _, kind in columns]] if types else [])
    return "".join(line(row) + "\n" for row in rows).encode()


def _tab(row: list[str]) -> str:
    return "\t".join(map(_tsv, row))


def _comma(row: list[str]) -> str:
    return ",".join('"' + text.replace('"', '""') + '"' for text in row)


def _compact(row: list[str]) -> str:
    return "[" + ", ".join(json.dumps(text, ensure_ascii=False) for text in row) + "]"


class Streamed(NamedTuple):
    """A format that is streamed: the one chDB is asked for, and how its head is made."""

    body: str
    head: Callable[[Columns], bytes] | None = None


STREAMED: dict[str, Streamed] = {
    name: Streamed(name) for name in ("Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow")
}
STREAMED |= {
    "JSONCompactEachRow": Streamed("JSONCompactEachRow"),
    "JSONLines": Streamed("JSONEachRow"),
    "NDJSON": Streamed("JSONEachRow"),
    "RowBinaryWithNames": Streamed("RowBinary", lambda c: _row_binary(c, False)),
    "RowBinaryWithNamesAndTypes": Streamed("RowBinary", lambda c: _row_binary(c, True)),
    "TabSeparatedWithNames": Streamed("TSV", lambda c: _lines(c, False, _tab)),
    "TabSeparatedWithNamesAndTypes": Streamed("TSV", lambda c: _lines(c, True, _tab)),
    "TSVWithNames": Streamed("TSV", lambda c: _lines(c, False, _tab)),
    "TSVWithNamesAndTypes": Streamed("TSV", lambda c: _lines(c, True, _tab)),
    "CSVWithNames": Streamed("CSV", lambda c: _lines(c, False, _comma)),
    "CSVWithNamesAndTypes": Streamed("CSV", lambda c: _lines(c, True, _comma)),
    "JSONCompactEachRowWithNames": Streamed("JSONCompactEachRow", lambda c: _lines(c, False, _compact)),
    "JSONCompactEachRowWithNamesAndTypes": Streamed("JSONCompactEachRow", lambda c: _lines(c, True, _compact)),
}

CONTENT_TYPES = {
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
}
