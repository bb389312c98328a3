"""Which errors of ClickHouse pass by themselves, in one place."""

from __future__ import annotations

import re

from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

# Code -> name. Everything else stops the sink: repeating it would fail for ever.
RETRIABLE_CODES: dict[int, str] = {
    3: "UNEXPECTED_END_OF_FILE",
    107: "FILE_DOESNT_EXIST",
    159: "TIMEOUT_EXCEEDED",
    164: "READONLY",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    285: "TOO_FEW_LIVE_REPLICAS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    425: "SYSTEM_ERROR",
    999: "KEEPER_EXCEPTION",
}

_CODE = re.compile(r"Code: (\d+)")


def error_code(error: BaseException) -> int | None:
    """ClickHouse's code in an error, None where there is none (the server did not answer)."""
    found = _CODE.search(str(error))
    return int(found.group(1)) if found else None


def is_retriable(error: BaseException) -> bool:
    """Whether the same statement may succeed later: the server is away, busy or short of something."""
    code = error_code(error)
    if code is not None:
        return code in RETRIABLE_CODES
    return isinstance(error, OperationalError | ConnectionError | TimeoutError)


def describe(error: BaseException) -> str:
    """The error's code and name, and never its text, which may quote a value."""
    code = error_code(error)
    if code is None:
        return f"no answer ({type(error).__name__})"
    named = re.search(r"\(([A-Z_]{3,})\)", str(error))
    return f"ClickHouse error {code}" + (f" {named.group(1)}" if named else "")


__all__ = ["RETRIABLE_CODES", "ClickHouseError", "describe", "error_code", "is_retriable"]
