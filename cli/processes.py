"""The processes of `up`: started in order, started again when they end, stopped in reverse order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.process import Process, spawn, stop

log = logging.getLogger(__name__)

BACK_OFF_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 30)
_STEADY_SECONDS = 30.0
"""A process that ran this long has recovered: its next restart is quick again."""


@dataclass
class Child:
    """One process: `command()` gives its argv anew for each start, `ready()` says whether it does its work."""

    name: str
    command: Callable[[], Sequence[str]]
    ready: Callable[[], bool]
    log_file: Path
    ended: Callable[[int], None] = lambda _: None
    stop_seconds: float = 30.0
    process: Process | None = None
    restarts: int = 0
    started_at: float = 0.0
    start_after: float = 0.0
    _failures: int = field(default=0, repr=False)

    def start(self, now: float) -> None:
        self.process = spawn(self.command(), BoundedLog(self.log_file))
        self.started_at = now

    def check(self, now: float) -> None:
        """Start it (again) if it does not run and its back-off is over."""
        if self.process is None:
            if now >= self.start_after:
                self.start(now)
            return
        code = self.process.poll()
        if code is None:
            return
        self.ended(code)
        self.process = None
        self.restarts += 1
        self._failures = 0 if now - self.started_at > _STEADY_SECONDS else self._failures + 1
        wait = BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS) - 1)]
        self.start_after = now + wait
        log.warning("%s ended with code %d; starting it again in %.1f s (see %s)", self.name, code, wait, self.log_file)

    def end(self) -> None:
        """SIGTERM, and SIGKILL after its deadline."""
        if self.process is not None:
            self.ended(stop(self.process, self.stop_seconds))
            self.process = None


class Processes:
    """Children in start order. All are started by the thread that calls `run`, and end if it does."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = list(children)

    def start(self, stop_event: threading.Event, timeout: float = 120.0) -> bool:
        """Start one after the other, each when the one before is ready; False if `stop_event` came first.

        Raises TimeoutError, naming the child and its log, if one is not ready in `timeout` seconds.
        """
        for child in self.children:
            child.start(time.monotonic())
            deadline = time.monotonic() + timeout
            while not child.ready():
                self.check()
                if stop_event.wait(0.05):
                    return False
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{child.name} is not ready after {timeout:.0f} s: see {child.log_file}")
        return True

    def check(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is not None or child.started_at:
                child.check(now)

    def run(self, stop_event: threading.Event) -> None:
        """Watch over the children until `stop_event`."""
        while not stop_event.wait(0.1):
            self.check()

    def stop(self) -> None:
        """End all in reverse order: who reads last ends last but for the broker."""
        for child in reversed(self.children):
            child.end()
