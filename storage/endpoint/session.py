"""One connection to the embedded engine, read-only, for one query at a time.

A query goes through `enter` (its database, and nothing left of the query before), `canonical`, `check`, `apply` (its
settings, which so have no say in the check) and `run`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any

import chdb

from proventrail.storage.endpoint.formats import STREAMED
from proventrail.storage.endpoint.guard import Refused, check
from proventrail.storage.endpoint.request import MAX_BODY_BYTES

# In a query that `formatQuery` wrote, a clause of the whole query begins a line, and no string holds a line end.
_FORMAT = re.compile(r"^FORMAT (\w+)\n?", re.MULTILINE)
_OF_FORMAT_QUERY = re.compile(r"\.?\s*: In scope SELECT formatQuery\(.*(?=\. \(\w+\)$)", re.DOTALL)
_READABLE_ENGINES = ("Atomic", "Replicated")
_SCHEMAS = ("information_schema", "INFORMATION_SCHEMA", "system")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
_ERROR = re.compile(r"Code: \d+\. (?:DB::)?\w*Exception", re.DOTALL)

_REPEATED = re.compile(r"^(Code: \d+\. DB::Exception: )\1+")
# What comes after the rows and is left out of a stream. The word in a string does no harm.
_AFTER_THE_ROWS = re.compile(r"\bWITH TOTALS\b|\bextremes\b")

LIMITS = {
    # A block is a piece of the response, and some of them are held at once: a quarter of the engine's own size.
    "max_block_size": "16384",
    "max_query_size": str(4 * MAX_BODY_BYTES),
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
    text = (
        _REPEATED.sub(r"\1", text[found.start() :])
        if found
        else f"Code: 1001. DB::Exception: {type(error).__name__}. (STD_EXCEPTION)"
    )
    code = re.match(r"Code: (\d+)", text)
    return QueryError(text.strip(), int(code.group(1)) if code else 1001)


def _refusal(refused: Refused) -> QueryError:
    name = "READONLY" if refused.code == 164 else "UNKNOWN_SETTING"
    return QueryError(f"Code: {refused.code}. DB::Exception: {refused}. ({name})", refused.code)


def split_format(query: str, default: str) -> tuple[str, str]:
    """A canonical query without its FORMAT clause, and the format that it asks for."""
    match = _FORMAT.search(query)
    return (query[: match.start()] + query[match.end() :], match.group(1)) if match else (query, default)


class Session:
    """A read-only session on `connection_string`. Methods raise QueryError."""

    def __init__(self, connection_string: str) -> None:
        self._connection: Any = chdb.connect(connection_string)  # type: ignore[no-untyped-call]
        for name, value in LIMITS.items():
            self._connection.query(f"SET {name} = {value}")
        self._connection.query("SET readonly = 2")
        self.timezone = self._ask("SELECT timezone()", "TSVRaw").decode().strip()
        self._changed: set[str] = set()
        self._databases: dict[str, bool] = {}

    def _ask(self, sql: str, fmt: str, params: dict[str, str] | None = None) -> bytes:
        try:
            return bytes(self._connection.query(sql, fmt, params=params or {}).bytes())
        except RuntimeError as error:
            raise _query_error(error) from None

    def enter(self, database: str) -> None:
        """Use a database, and take back the settings of the query before."""
        for name in self._changed:
            self._ask(f"SET {name} = DEFAULT", "TSV")
        self._changed = set()
        rows = self._ask("SELECT name, engine FROM system.databases", "JSONCompactEachRow").splitlines()
        self._databases = {
            name: engine in _READABLE_ENGINES or name in _SCHEMAS for name, engine in map(json.loads, rows)
        }
        if database in _SCHEMAS or not self._databases.get(database):
            raise QueryError(
                "Code: 81. DB::Exception: This database does not exist or cannot be the current one: name its tables "
                "in full, as system.tables. (UNKNOWN_DATABASE)",
                81,
            )
        self._ask(f"USE `{database}`", "TSV")

    def canonical(self, query: str) -> str:
        """The one statement of `query` as the engine understands it, written anew: no comments, one way to quote."""
        escaped = query.translate(_ESCAPES)
        try:
            return self._ask("SELECT formatQuery({query:String})", "TSVRaw", {"query": escaped}).decode().rstrip("\n")
        except QueryError as error:
            raise QueryError(_OF_FORMAT_QUERY.sub("", str(error)), error.code) from None

    def check(self, query: str, params: dict[str, str]) -> None:
        """Raises QueryError for a canonical query that does more than to read the store."""

        def explain(sql: str) -> list[str]:
            rows = self._ask(f"EXPLAIN AST {sql}", "JSONCompactEachRow", params).splitlines()
            return [json.loads(row)[0] for row in rows]

        try:
            check(query, params, self._databases, explain)
        except Refused as refused:
            raise _refusal(refused) from None

    def apply(self, settings: dict[str, str]) -> None:
        """Set what the request sets, until the next `enter`."""
        self._changed |= set(settings)
        for name, value in settings.items():
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            self._ask(f"SET {name} = '{quoted}'", "TSV")

    def _columns(self, query: str, params: dict[str, str]) -> list[tuple[str, str]]:
        rows = self._ask(f"DESCRIBE ({query})", "JSONCompactEachRow", params).splitlines()
        return [(row[0], row[1]) for row in map(json.loads, rows)]

    def run(self, query: str, fmt: str, params: dict[str, str]) -> Generator[bytes, None, None]:
        """The result of a query that was checked, in pieces. Only the first one tells whether it is right."""
        streamed = STREAMED.get(fmt)
        is_select = query.startswith(("SELECT", "WITH", "("))
        has_more = _AFTER_THE_ROWS.search(query) is not None or "extremes" in self._changed
        if streamed is None or not is_select or has_more:
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
