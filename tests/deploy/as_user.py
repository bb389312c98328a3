"""Work on a store with the rights of one of the users of deploy/clickhouse: a process of its own, for chDB's sake.

`python -m tests.deploy.as_user FOLDER WHAT` opens chDB on `FOLDER/data` with `FOLDER/config.xml`. WHAT is `migrate`,
`sink` (every writer, first and replayed), or `statements`: a JSON list of them on stdin. Prints a JSON list of
[statement, null or ClickHouse's error code].
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from proventrail.schemas import avro
from proventrail.storage.dialect import Dialect
from proventrail.storage.errors import error_code
from proventrail.storage.migrations import migrate, status
from proventrail.storage.sink.catalog import CatalogWriter
from proventrail.storage.sink.dead_letters import DeadLetterWriter
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.store import ClientStore
from tests.storage.conftest import TOPIC_ID, chunk, chunk_of, dataset, refined


class Recorded(ClientStore):
    """A store that keeps what it was asked, with the error code of what it refused."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.asked: list[tuple[str, int | None]] = []

    def command(self, sql: str) -> object:
        return self._kept(sql, lambda: super(Recorded, self).command(sql))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._kept(sql, lambda: super(Recorded, self).rows(sql, parameters))

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        self._kept(f"INSERT INTO {table}", lambda: super(Recorded, self).insert(table, rows, token))

    def _kept(self, sql: str, action: Any) -> Any:
        try:
            result = action()
        except ClickHouseError as error:
            self.asked.append((sql, error_code(error)))
            raise
        self.asked.append((sql, None))
        return result


def run_sink(store: Recorded) -> None:
    """What a sink does in its life: opens, writes, meets duplicates and garbage, replays."""
    dialect = Dialect()
    run = {"run_id": "r", "inputs": [dataset("in")], "outputs": [dataset("out")], "transformation_version": "v"}
    events = chunk([refined(0, **run), refined(1), refined(2, event_id=refined(1)["event_id"])])
    garbage = chunk_of([b"garbage"], 3)
    letter = {"raw_topic_id": TOPIC_ID, "raw_topic": "t", "raw_partition": 0, "raw_offset": 9, "received_at": 0}
    text = {"reason": "invalid", "stage": "refine", "path": "", "message": ""}
    letters = chunk_of([avro.encode("dead_letter", {**letter, **text})])
    entry = chunk_of([b""], topic="lineage.catalog")
    for writer, chunks in (
        (EventWriter(store, dialect, 0), [events, garbage]),
        (DeadLetterWriter(store, dialect, 0), [letters]),
        (CatalogWriter(store, dialect), [entry]),
    ):
        writer.open(None)
        for one in chunks:
            writer.write(one, replay=False)
    again = EventWriter(store, dialect, 0, window=10)
    again.write(events, replay=True)
    DeadLetterWriter(store, dialect, 0).write(letters, replay=True)
    EventWriter(store, dialect, 0).open(None)


def main(folder: Path, what: str) -> None:
    client = clickhouse_connect.get_client(
        interface="chdb",
        path=str(folder / "data"),
        chdb_options={"config-file": str(folder / "config.xml")},
    )
    store = Recorded(client)
    if what == "migrate":
        migrate(store, Dialect())
        status(store, Dialect())
    elif what == "sink":
        run_sink(store)
    else:
        for statement in json.load(sys.stdin):
            try:
                store.rows(statement) if statement.startswith(("SELECT", "SHOW")) else store.command(statement)
            except ClickHouseError:
                continue
    print(json.dumps(store.asked))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
