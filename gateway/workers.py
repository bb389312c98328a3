"""A gateway of one or more processes: `run_gateway`.

More than one share the listening socket: the kernel gives each connection to one of them. Each has a producer and
metrics of its own, and knows the others by their status ports, so whichever answers `/health` and `/metrics` answers
for all. If one ends, all end, and whoever supervises them starts the gateway anew.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from proventrail.gateway.server import GatewayError, GatewayServer, stop_on_signals
from proventrail.gateway.settings import GatewaySettings
from proventrail.streaming.garbage import spare_the_collector
from proventrail.telemetry import StatusServer
from proventrail.telemetry.logs import configure_logging

_START_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_SPAWN = multiprocessing.get_context("spawn")


def run_gateway(settings: GatewaySettings, stop: threading.Event | None = None) -> None:
    """Run a gateway until SIGTERM, SIGINT or `stop`. Raises GatewayError, TokenError.

    Called in the main thread it handles the two signals; elsewhere `stop` is the only way.
    """
    first = GatewayServer(settings)
    if threading.current_thread() is threading.main_thread():
        stop_on_signals(first)
        spare_the_collector()
    if stop is not None:
        threading.Thread(target=_stop_when, args=(stop, first), name="stop", daemon=True).start()
    if settings.workers == 1:
        first.run()
        return
    with Workers(first) as workers:
        workers.run()


def _stop_when(stop: threading.Event, server: GatewayServer) -> None:
    stop.wait()
    server.stop()


class Workers:
    """The first process of a gateway and the others that it has started."""

    def __init__(self, first: GatewayServer) -> None:
        self._first = first
        self._status = StatusServer(first.ready).start()
        self._pipes: list[Connection] = []
        self.processes = [self._start(n) for n in range(1, first.settings.workers)]
        urls = {first.name: _health_url(self._status.port)}
        for process, pipe in zip(self.processes, self._pipes, strict=True):
            urls[process.name] = _health_url(_port_of(process, pipe))
        for process, pipe in zip(self.processes, self._pipes, strict=True):
            pipe.send(_others(urls, process.name))
        first.know(_others(urls, first.name))

    def _start(self, n: int) -> BaseProcess:
        here, there = _SPAWN.Pipe()
        arguments = (self._first.settings, f"gateway-{n}", self._first.listener, there, logging.getLogger().level)
        process = _SPAWN.Process(target=_work, args=arguments, name=f"gateway-{n}", daemon=True)
        process.start()
        there.close()
        self._pipes.append(here)
        return process

    def run(self) -> None:
        """Serve until the first process is stopped. Raises GatewayError if one of the others ends before."""
        lost: list[str] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_LOOK_SECONDS):
                lost.extend(process.name for process in self.processes if not process.is_alive())
                if lost:
                    self._first.stop()
                if self._first.stopping:
                    self._tell_to_stop()
                    return

        watcher = threading.Thread(target=watch, name="workers", daemon=True)
        watcher.start()
        try:
            self._first.run()
        finally:
            ended.set()
            watcher.join()
        if lost:
            raise GatewayError(f"{', '.join(lost)} ended unexpectedly: start the gateway anew")

    def _tell_to_stop(self) -> None:
        """A closed pipe tells a process to drain; so does the end of this process, whatever ends it."""
        for pipe in self._pipes:
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell_to_stop()
        for process in self.processes:
            process.join(2 * self._first.settings.drain_seconds + 1)
            if process.is_alive():
                process.kill()
                process.join()
        self._status.stop()


def _port_of(process: BaseProcess, pipe: Connection) -> int:
    try:
        if pipe.poll(_START_SECONDS):
            return int(pipe.recv())
    except EOFError:
        pass
    raise GatewayError(f"{process.name} did not start within {_START_SECONDS:.0f} s: its log says why")


def _health_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/health"


def _others(urls: dict[str, str], name: str) -> dict[str, str]:
    return {other: url for other, url in urls.items() if other != name}


def _work(settings: GatewaySettings, name: str, listener: socket.socket, pipe: Connection, log_level: int) -> None:
    """The main function of a process that another has started."""
    configure_logging(name, logging.getLevelName(log_level))
    server = GatewayServer(settings, name, listener)
    # Ctrl-C reaches every process of a terminal; the first one tells the others when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    status = StatusServer(server.ready).start()
    pipe.send(status.port)
    server.know(pipe.recv())
    threading.Thread(target=_stop_at_end_of, args=(pipe, server), name="stop", daemon=True).start()
    spare_the_collector()
    server.run()
    status.stop()


def _stop_at_end_of(pipe: Connection, server: GatewayServer) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        server.stop()
