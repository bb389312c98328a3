"""The whole pipeline as `proventrail up` runs it, to be measured from outside."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from benchmarks.processes import CpuMeter, peak_megabytes
from benchmarks.sender import Sender
from benchmarks.workloads import Kind
from proventrail.cli.drained import Backlog
from proventrail.cli.up import Pipeline
from proventrail.gateway.auth import ensure_token
from proventrail.schemas.settings import ClickHouseSettings, KafkaSettings
from proventrail.storage.store import ClientStore, connect

STAGES = ("kafka", "refine", "sink", "gateway")


class Whole:
    """A running pipeline: its processes, a client of its SQL endpoint, and how much is stored."""

    def __init__(self, pipeline: Pipeline, store: ClientStore) -> None:
        self.pipeline, self.store = pipeline, store
        self.servers = pipeline.bootstrap_servers

    @property
    def pids(self) -> dict[str, int]:
        found = {child.name: child.pid for child in self.pipeline.supervisor.children}
        return {name: pid for name, pid in found.items() if pid is not None}

    def meter(self) -> CpuMeter:
        return CpuMeter(self.pids)

    def peaks(self) -> dict[str, float]:
        return {name: peak_megabytes(pid) for name, pid in self.pids.items()}

    def stored(self) -> int:
        """Rows of `events`; ClickHouse answers from the parts' headers."""
        [(count,)] = self.store.rows("SELECT count() FROM proventrail.events")
        return int(count)

    def wait_stored(self, events: int, seconds: float = 600.0) -> float:
        """Return the time (`time.time`) at which `events` rows could be queried. Raises TimeoutError.

        Asking costs CPU time in the process that is measured: it asks twice a second, more often only near the end.
        """
        started = time.monotonic()
        first = found = self.stored()
        while found < events:
            took = time.monotonic() - started
            if took > seconds:
                raise TimeoutError(f"{found} of {events} events are stored after {seconds:.0f} s")
            time.sleep(min(0.5, max(0.03, 0.5 * took * (events - found) / max(1, found - first))))
            found = self.stored()
        return time.time()

    def warm_up(self, kind: Kind, events: int) -> int:
        """Bring `events` events through it: what is loaded and compiled at first is not to be measured."""
        sender = Sender(self.servers, kind, events, seed=99)
        sender.go()
        sender.done()
        self.wait_stored(events)
        self.drain()
        return events

    def drain(self) -> None:
        """Return when everything derived is written too."""
        backlog = Backlog(KafkaSettings(bootstrap_servers=self.servers))
        backlog.wait(600)
        backlog.close()


@contextmanager
def whole(folder: Path) -> Iterator[Whole]:
    """Start the pipeline on `folder`, and end it."""
    logging.getLogger("proventrail").setLevel(logging.ERROR)
    token, _ = ensure_token(folder)
    pipeline = Pipeline(folder)
    with pipeline.supervisor.background():
        url = pipeline.clickhouse_url
        store = connect(ClickHouseSettings(url=url, username="auditor", password=SecretStr(token)))
        yield Whole(pipeline, store)
        store.close()
