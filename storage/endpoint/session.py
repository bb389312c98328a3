"""One connection to the embedded engine, read-only, for one query at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any

import chdb

from proventrail.storage.endpoint.formats import STREAMED
from proventrail.storage.endpoint.guard import Refused, check

_FORMAT = re.compile(r"\bFORMAT\s+([A-Za-z0-9]+)\s*;?\s*$", re.IGNORECASE)
_ERROR = re.compile(r"Code: \d+\. (?:DB::)?\w*Exception", re.DOTALL)

LIMITS = {
    "max_execution_time": "300",
    "max_memory_usage": "1000000000",
    "max_bytes_before_external_group_by": "300000000",
    "max_bytes_before_external_sort": "300000000",
}
_MATERIALISED_BYTES = 256 << 20


class QueryError(Exception):
    """The engine's (or the guard's) answer to a query: ClickHouse's text and code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def _query_error(error: BaseException) -> QueryError:
    text = str(error)
    found = _ERROR.search(text)
    text = text[found.start() :] if found else f"Code: 1001. DB::Exception: {type(error).__name__}. (STD_EXCEPTION)"
    code = re.match(r"Code: (\d+)", text)
    return QueryError(text.strip(), int(code.group(1)) if code else 1001)


def _refusal(refused: Refused) -> QueryError:
    name = "READONLY" if refused.code == 164 else "UNKNOWN_SETTING"
    return QueryError(f"Code: {refused.code}. DB::Exception: {refused}. ({name})", refused.code)


def split_format(query: str, default: str) -> tuple[str, str]:
    """The query without its FORMAT clause, and the format that it asks for."""
    match = _FORMAT.search(query)
    return (query[: match.start()], match.group(1)) if match else (query.rstrip().rstrip(";"), default)


class Session:
    """A read-only session on `connection_string`. Methods raise QueryError."""

    def __init__(self, connection_string: str) -> None:
        self._connection: Any = chdb.connect(connection_string)  # type: ignore[no-untyped-call]
        for name, value in LIMITS.items():
            self._connection.query(f"SET {name} = {value}")
        self._connection.query("SET readonly = 2")
        self._changed: set[str] = set()

    def _ask(self, sql: str, fmt: str, params: dict[str, str] | None = None) -> bytes:
        try:
            return bytes(self._connection.query(sql, fmt, params=params or {}).bytes())
        except RuntimeError as error:
            raise _query_error(error) from None

    def prepare(self, database: str, settings: dict[str, str]) -> None:
        """Set the query's database and settings, and take back those of the query before."""
        for name in self._changed:
            self._ask(f"SET {name} = DEFAULT", "TSV")
        self._changed = set(settings)
        self._ask(f"USE `{database.replace('`', '')}`", "TSV")
        for name, value in settings.items():
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            self._ask(f"SET {name} = '{quoted}'", "TSV")

    def check(self, query: str, params: dict[str, str]) -> None:
        def explain(sql: str) -> list[str]:
            rows = self._ask(f"EXPLAIN AST {sql}", "JSONCompactEachRow", params).splitlines()
            return [json.loads(row)[0] for row in rows]

        try:
            check(query, explain)
        except Refused as refused:
            raise _refusal(refused) from None

    def _columns(self, query: str, params: dict[str, str]) -> list[tuple[str, str]]:
        rows = self._ask(f"DESCRIBE ({query})", "JSONCompactEachRow", params).splitlines()
        return [(row[0], row[1]) for row in map(json.loads, rows)]

    def run(self, query: str, fmt: str, params: dict[str, str]) -> Generator[bytes, None, None]:
        """The result of a checked query, in pieces. The first one is asked for before anything is known to be right."""
        streamed = STREAMED.get(fmt)
        is_select = re.match(r"\s*(\(|select\b|with\b)", query, re.IGNORECASE) is not None
        if streamed is None or not is_select:
            self._ask(f"SET max_result_bytes = {_MATERIALISED_BYTES}", "TSV")
            self._changed.add("max_result_bytes")
            yield self._ask(query, fmt, params)
            return
        if streamed.head is not None:
            yield streamed.head(self._columns(query, params))
        yield from self._stream(query, streamed.body, params)

    def _stream(self, query: str, fmt: str, params: dict[str, str]) -> Generator[bytes, None, None]:
        result: Any = None
        try:
            result = self._connection.send_query(query, fmt, params=params)
            for piece in result:
                data = bytes(piece.bytes())
                if data:
                    yield data
        except RuntimeError as error:
            raise _query_error(error) from None
        finally:
            if result is not None:
                result.close()

    def close(self) -> None:
        self._connection.close()
