"""A gateway of several processes behaves as one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from proventrail.gateway import GatewayError, GatewayServer, GatewaySettings
from proventrail.gateway.workers import Workers
from proventrail.schemas.settings import KafkaSettings
from tests.conftest import MakeTopic
from tests.gateway.conftest import read_topic, run_event
from tests.gateway.test_health import events_in


class Running:
    """A gateway of two processes in this thread's process and another."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.first = GatewayServer(settings)
        self.workers = Workers(self.first)
        self.error: GatewayError | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.headers = {"Authorization": f"Bearer {self.first.token}"}

    def _run(self) -> None:
        try:
            with self.workers:
                self.workers.run()
        except GatewayError as error:
            self.error = error

    def request(self, method: str, path: str, **more: object) -> httpx.Response:
        """By a connection of its own, so that any process may get it."""
        return httpx.request(  # type: ignore[arg-type]
            method, self.first.url + path, headers=self.headers, timeout=20, trust_env=False, **more
        )


@pytest.fixture
def running(kafka_settings: KafkaSettings, make_topic: MakeTopic, tmp_path: Path) -> Iterator[Running]:
    topic = make_topic(name="workers", partitions=2)
    started = Running(GatewaySettings(kafka=kafka_settings, topic=topic, data_dir=tmp_path, port=0, workers=2))
    yield started
    started.first.stop()
    started.thread.join(30)
    assert not started.thread.is_alive()


def test_any_process_takes_events_and_answers_for_all(running: Running) -> None:
    before = events_in(running.request("GET", "/metrics").text)["gateway"]
    for _ in range(40):
        assert running.request("POST", "/api/v1/lineage", json=run_event()).status_code == 201
    settings = running.first.settings
    assert len(read_topic(settings.kafka, settings.topic)) == 40
    counts = {events_in(running.request("GET", "/metrics").text)["gateway"] for _ in range(10)}
    assert counts == {before + 40}
    while running.request("GET", "/health").status_code != 200:
        time.sleep(0.05)
    assert set(running.request("GET", "/health").json()["stages"]) == {"gateway", "gateway-1"}


def test_stop_drains_all(running: Running) -> None:
    assert running.request("POST", "/api/v1/lineage", json=run_event()).status_code == 201
    running.first.stop()
    running.thread.join(30)
    assert running.error is None
    with pytest.raises(httpx.ConnectError):
        running.request("GET", "/")


def test_the_end_of_one_is_the_end_of_all(running: Running) -> None:
    [process] = running.workers.processes
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    running.thread.join(30)
    assert not running.thread.is_alive()
    assert "gateway-1 ended unexpectedly" in str(running.error)
