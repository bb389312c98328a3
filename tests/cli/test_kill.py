"""kill -9 of each process of `proventrail up`: it is started again, and all that was acknowledged is stored once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proventrail.cli.event_files import Event
from proventrail.cli.sending import Sender

from .conftest import START_SECONDS, Up, event

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One of its own: its processes are killed."""
    up = Up(tmp_path_factory.mktemp("up") / "data")
    yield up
    up.end()


class Traffic:
    """Sends batches of ten until it is told to stop; counts what the gateway has acknowledged."""

    def __init__(self, up: Up, namespace: str) -> None:
        self.acknowledged = 0
        self.failure: BaseException | None = None
        self._up, self._namespace = up, namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with closing(Sender(self._up.url, self._up.token)) as sender:
                while not self._stop.is_set():
                    batch = [Event("", json.dumps(event(self._namespace)).encode()) for _ in range(10)]
                    assert sender.send(batch) == []
                    self.acknowledged += len(batch)
                    time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.failure = error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(120)
        if self.failure is not None:
            raise self.failure


def wait_for_more(traffic: Traffic, count: int) -> None:
    start, deadline = traffic.acknowledged, time.monotonic() + START_SECONDS
    while traffic.acknowledged < start + count:
        assert traffic.failure is None, traffic.failure
        assert time.monotonic() < deadline, "no event is acknowledged any more"
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["kafka", "refine", "sink", "gateway"])
def test_what_was_acknowledged_before_during_and_after_is_stored_once(up: Up, namespace: str, name: str) -> None:
    traffic = Traffic(up, namespace)
    try:
        wait_for_more(traffic, 50)
        before = up.instance.children[name]
        os.kill(before["pid"], signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        while (child := up.instance.children[name])["state"] != "ready" or child["pid"] == before["pid"]:
            assert time.monotonic() < deadline, child
            time.sleep(0.1)
        assert child["restarts"] == before["restarts"] + 1
        assert child["last_exit"] == "killed by SIGKILL"
        wait_for_more(traffic, 50)
    finally:
        traffic.stop()
    result = up.run("verify-delivery", "--wait")
    assert result.code == 0, result.output + result.errors
    where = f"FROM events WHERE job_namespace = '{namespace}'"
    [found] = up.sql(f"SELECT count() AS n, uniqExact(event_id) AS ids {where}")
    assert found == {"n": traffic.acknowledged, "ids": traffic.acknowledged}
    [runs] = up.sql(f"SELECT count() AS n FROM runs WHERE job_namespace = '{namespace}' AND state = 'COMPLETE'")
    assert runs["n"] == traffic.acknowledged


def test_after_kill_9_of_up_itself_the_next_one_goes_on(up: Up, namespace: str, tmp_path: Path) -> None:
    with closing(Sender(up.url, up.token)) as sender:
        batch = [Event("", json.dumps(event(namespace)).encode()) for _ in range(200)]
        assert sender.send(batch) == []
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    up.start()
    assert up.run("verify-delivery", "--wait").code == 0
    assert up.sql(f"SELECT uniqExact(event_id) AS n FROM events WHERE job_namespace = '{namespace}'") == [{"n": 200}]
