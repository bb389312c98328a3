"""The store as the sink and the queries see it: the same three methods over HTTP and in process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import clickhouse_connect
import pyarrow as pa

from proventrail.schemas.settings import ClickHouseSettings

INSERT_SETTINGS: dict[str, Any] = {
    # One insert is one block: one part per ClickHouse partition, all or nothing, with one deduplication token.
    "async_insert": 0,
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 1 << 30,
    "max_insert_threads": 1,
    # Rows of derived tables are grouped by their key already: merging the block with itself finds nothing.
    "optimize_on_insert": 0,
    "input_format_parallel_parsing": 0,
    # A repeated insert that the table drops still reaches the views that a crash may have left behind.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # Distributed tables: acknowledged means written on the shard.
    "distributed_foreground_insert": 1,
}


class Store(Protocol):
    """A ClickHouse server or an embedded engine. Methods raise clickhouse-connect's `ClickHouseError`."""

    def command(self, sql: str) -> object:
        """Run a statement that gives no rows."""
        ...

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query; `parameters` are bound on the server, written `{name:Type}` in `sql`."""
        ...

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert `rows`, whose columns are named like the table's, as one block with a deduplication token."""
        ...

    def close(self) -> None: ...


class ClientStore:
    """A Store over a client of clickhouse-connect, whichever its interface."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def command(self, sql: str) -> object:
        return self.client.command(sql)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.client.query(sql, parameters=dict(parameters or {})).result_rows]

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        database, _, name = table.rpartition(".")
        self.client.insert_arrow(name, rows.combine_chunks(), database=database or None, settings=settings)

    def close(self) -> None:
        self.client.close()


class PerThreadStore:
    """A Store for several threads: each gets one of its own, made by `open_store` when it first asks."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._own = threading.local()
        self._opened: list[Store] = []

    def _store(self) -> Store:
        found: Store | None = getattr(self._own, "store", None)
        if found is None:
            found = self._own.store = self._open_store()
            self._opened.append(found)
        return found

    def command(self, sql: str) -> object:
        return self._store().command(sql)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._store().rows(sql, parameters)

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        self._store().insert(table, rows, token)

    def close(self) -> None:
        """Close those of all threads, which must not use them any more."""
        while self._opened:
            self._opened.pop().close()


def connect(settings: ClickHouseSettings, answer_seconds: int = 300) -> ClientStore:
    """A ClickHouse server, or an endpoint that speaks its HTTP; one that is silent for `answer_seconds` is an error."""
    client = clickhouse_connect.get_client(
        dsn=settings.url,
        username=settings.username,
        password=settings.password.get_secret_value(),
        ca_cert=settings.ca_cert,
        # Retrying is the caller's: it knows which statement may be repeated.
        query_retries=0,
        send_receive_timeout=answer_seconds,
    )
    return ClientStore(client)
