"""A store that is away, slow, or takes an insert and doesn't say so; sinks that share the work and change."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from proventrail.embedded.broker import KafkaBroker
from proventrail.schemas.settings import KafkaSettings
from proventrail.storage.dialect import Dialect
from proventrail.storage.engine import Engine
from proventrail.storage.migrations import migrate
from proventrail.storage.sink.consumer import Sink
from proventrail.storage.sink.stage import writers
from proventrail.storage.store import ClientStore, PerThreadStore, Store

from .account import check, wait_stored
from .load import Load, Sender
from .road import Road
from .sending import Sending

pytestmark = pytest.mark.faults


class FaultyStore:
    """The real store behind a bad line: `away`, `slow` by some seconds, and losing one answer in `lossy`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rng = random.Random(1)
        self.away = False
        self.slow = 0.0
        self.lossy = 0
        self.refused = 0
        self.lost = 0

    def _line(self) -> None:
        time.sleep(self.slow)
        if self.away:
            self.refused += 1
            raise OperationalError("no answer")

    def _answer(self) -> None:
        if self.lossy and self._rng.randrange(self.lossy) == 0:
            self.lost += 1
            raise OperationalError("the answer was lost")

    def command(self, sql: str) -> object:
        self._line()
        result = self._store.command(sql)
        self._answer()
        return result

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self._line()
        found = self._store.rows(sql, parameters)
        self._answer()
        return found

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        self._line()
        self._store.insert(table, rows, token)
        self._answer()

    def close(self) -> None:
        self._store.close()


class Sinks:
    """Sinks in threads over one engine, each with a client of its own."""

    def __init__(self, servers: str, dialect: Dialect) -> None:
        self._settings = KafkaSettings(bootstrap_servers=servers)
        self._dialect = dialect
        self._running: list[tuple[threading.Event, threading.Thread]] = []
        self.failures: list[BaseException] = []

    def start(self, store: Store, **bounds: Any) -> Sink:
        sink = Sink(self._settings, "proventrail-sink", writers(store, self._dialect), **bounds)
        stop = threading.Event()

        def run() -> None:
            try:
                sink.run(stop)
            except BaseException as error:  # noqa: BLE001 - looked at by the test
                self.failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self._running.append((stop, thread))
        return sink

    def end(self, at: int = -1) -> None:
        stop, thread = self._running.pop(at)
        stop.set()
        thread.join(60)
        assert not thread.is_alive()

    def check_alive(self) -> None:
        if self.failures:
            raise self.failures[0]

    def stop(self) -> None:
        while self._running:
            self.end()


@pytest.fixture
def dialect(store: ClientStore) -> Iterator[Dialect]:
    dialect = Dialect(database=f"f_{uuid.uuid4().hex[:12]}", storage_policy="tiered")
    migrate(store, dialect)
    yield dialect
    store.command(f"DROP DATABASE {dialect.database}")


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    """Refine alone runs as a process; sinks are the test's."""
    broker = KafkaBroker(tmp_path / "kafka").start()
    road = Road(tmp_path / "road", broker.bootstrap_servers)
    road.start("refine-0")
    yield road
    road.stop()
    broker.stop()


@pytest.fixture
def sinks(road: Road, dialect: Dialect) -> Iterator[Sinks]:
    sinks = Sinks(road.servers, dialect)
    yield sinks
    sinks.stop()


@pytest.fixture
def threaded(engine: Engine) -> Iterator[Store]:
    """The store as the writing threads of sinks use it."""
    store = PerThreadStore(engine.store)
    yield store
    store.close()


@pytest.fixture
def client(threaded: Store) -> FaultyStore:
    return FaultyStore(threaded)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_store_is_away_for_a_while(road: Road, sinks: Sinks, client: FaultyStore, dialect: Dialect) -> None:
    sink = sinks.start(client)
    load = Load(31, 8000)
    sending = Sending(road.servers, load, 6)
    for _ in range(2):
        time.sleep(1)
        client.refused, client.away = 0, True
        wait_until(lambda: client.refused > 2)
        ready, why = sink.ready()
        assert not ready
        assert "no answer (OperationalError)" in why
        client.away = False
    sending.finish()
    wait_stored(road.servers, 120, sinks.check_alive)
    check(road, client, load.outcome, dialect.database)
    assert sink.ready()[0]


def test_answers_of_the_store_are_lost(road: Road, sinks: Sinks, client: FaultyStore, dialect: Dialect) -> None:
    """An insert that took place and was not acknowledged is done again, and nothing is there twice."""
    client.lossy = 8
    sinks.start(client)
    load = Load(32, 8000)
    sending = Sending(road.servers, load, 8)
    sending.finish()
    wait_stored(road.servers, 180, sinks.check_alive)
    client.lossy = 0
    check(road, client, load.outcome, dialect.database)
    assert client.lost > 3


def test_a_slow_store_holds_the_reading_back(road: Road, sinks: Sinks, client: FaultyStore, dialect: Dialect) -> None:
    client.slow = 0.5
    bound = 1 << 20
    load = Load(33, 15_000)
    sender = Sender(road.servers, load.outcome)
    sender.send(load.records)
    sender.finish()
    sink = sinks.start(client, buffer_bytes=bound, max_rows=2000)
    peak, deadline = 0, time.monotonic() + 8
    while time.monotonic() < deadline:
        peak = max(peak, sink.buffered_bytes)
        time.sleep(0.01)
    # What one poll brings (10,000 records) may come on top of the bound.
    assert bound < peak < bound + 10_000 * 600
    assert sink.ready()[0]
    client.slow = 0.0
    wait_stored(road.servers, 120, sinks.check_alive)
    check(road, client, load.outcome, dialect.database)


def test_sinks_join_and_leave(road: Road, sinks: Sinks, threaded: Store, dialect: Dialect) -> None:
    sinks.start(threaded)
    load = Load(34, 12_000)
    sending = Sending(road.servers, load, 10)
    time.sleep(2)
    sinks.start(threaded)
    time.sleep(2)
    sinks.start(threaded)
    time.sleep(2)
    sinks.end(0)
    time.sleep(1)
    sinks.end(0)
    sending.finish()
    wait_stored(road.servers, 120, sinks.check_alive)
    check(road, threaded, load.outcome, dialect.database)
