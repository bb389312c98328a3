"""The pure part of supervision: the life of one child as a state machine, and what may start or stop when.

| state | means | leaves it by |
|---|---|---|
| waiting | never started; what it needs is not ready yet | `started` |
| starting | runs, not ready yet | `became_ready`, `exited`, `stop` |
| ready | runs, has been ready since it was started | `exited`, `stop` |
| backoff | ended; is started again at `not_before` | `started`, `stop` |
| stopping | was asked to end; is killed after its deadline | `exited` |
| stopped | ended for good | – |
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.errors import SupervisorError

Clock = Callable[[], float]
"""Seconds on a clock that never goes back, such as `time.monotonic`."""


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Backoff:
    """Seconds until the next start: `first`, twice as many after each further exit, at most `longest`.

    A run of at least `stable` seconds starts the count anew. After `failing_after` exits in a row the child counts as
    failing; it is started again still.
    """

    first: float = 0.5
    longest: float = 30.0
    stable: float = 30.0
    failing_after: int = 5

    def delay(self, exits: int) -> float:
        """Seconds to wait after `exits` exits in a row, counted from 1."""
        return min(self.longest, self.first * 2.0 ** min(exits - 1, 62))


@dataclass(frozen=True)
class ChildSpec:
    """A process to supervise.

    `argv` may be a function that is called before each start; an EmbeddedError or OSError of it counts as an exit.
    `ready` is asked until it says True once in each run; it must not take longer than about a second. `after` names
    children that must be ready before this one is started the first time, and that end after it. `env` comes on top of
    our environment. `stop_seconds` is how long it may drain after SIGTERM. `on_exit` is told each exit code.
    """

    name: str
    argv: Sequence[str] | Callable[[], Sequence[str]]
    log: BoundedLog
    ready: Callable[[], bool] = lambda: True
    after: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 10.0
    backoff: Backoff = Backoff()
    on_exit: Callable[[int], None] = lambda returncode: None

    def command(self) -> list[str]:
        return list(self.argv() if callable(self.argv) else self.argv)


class Child:
    """One child's state. Knows no process and no clock but the one it is given."""

    def __init__(self, spec: ChildSpec, clock: Clock) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.has_been_ready = False
        self.pid: int | None = None
        self.restarts = 0
        self.last_exit = ""
        self.not_before = 0.0
        self._clock = clock
        self._exits_in_a_row = 0
        self._started_at = 0.0
        self._deadline = 0.0

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def runs(self) -> bool:
        return self.state in (State.STARTING, State.READY, State.STOPPING)

    @property
    def failing(self) -> bool:
        """Whether it ends again and again soon after its start."""
        return self._exits_in_a_row >= self.spec.backoff.failing_after

    @property
    def due(self) -> bool:
        """Whether its back-off is over."""
        return self.state is State.BACKOFF and self._clock() >= self.not_before

    @property
    def overdue(self) -> bool:
        """Whether it was asked to end and has not within its time."""
        return self.state is State.STOPPING and self._clock() >= self._deadline

    def started(self, pid: int) -> None:
        self.restarts += self.state is State.BACKOFF
        self.state, self.pid, self._started_at = State.STARTING, pid, self._clock()

    def became_ready(self) -> None:
        self.state, self.has_been_ready = State.READY, True

    def exited(self, reason: str) -> None:
        """The process has ended (or could not be started), `reason` says how."""
        now = self._clock()
        self.last_exit = reason
        if self.state is State.STOPPING:
            self.state, self.pid = State.STOPPED, None
            return
        if self.runs and now - self._started_at >= self.spec.backoff.stable:
            self._exits_in_a_row = 0
        self._exits_in_a_row += 1
        self.not_before = now + self.spec.backoff.delay(self._exits_in_a_row)
        self.state, self.pid = State.BACKOFF, None

    def stop(self) -> None:
        """It was sent SIGTERM, or does not run and shall not again."""
        if self.runs:
            self.state, self._deadline = State.STOPPING, self._clock() + self.spec.stop_seconds
        else:
            self.state = State.STOPPED

    def hurry(self) -> None:
        """Drain no longer."""
        self._deadline = self._clock()

    def status(self) -> dict[str, Any]:
        """What the state file and `proventrail status` tell of it."""
        return {
            "state": self.state.value,
            "pid": self.pid,
            "restarts": self.restarts,
            "failing": self.failing,
            "last_exit": self.last_exit,
            "log": str(self.spec.log.path),
        }


class Family:
    """All children, and who depends on whom. Raises SupervisorError for a name twice, an unknown one, or a circle."""

    def __init__(self, specs: Sequence[ChildSpec], clock: Clock) -> None:
        self._by_name = {spec.name: Child(spec, clock) for spec in specs}
        if len(self._by_name) < len(specs):
            raise SupervisorError(f"two children have one name: {', '.join(spec.name for spec in specs)}")
        unknown = {name for spec in specs for name in spec.after} - self._by_name.keys()
        if unknown:
            raise SupervisorError(f"a child is to start after {', '.join(sorted(unknown))}, which is no child")
        try:
            graphlib.TopologicalSorter({spec.name: spec.after for spec in specs}).prepare()
        except graphlib.CycleError as error:
            raise SupervisorError(f"children wait for each other: {' after '.join(error.args[1])}") from None

    @property
    def children(self) -> list[Child]:
        return list(self._by_name.values())

    @property
    def ready(self) -> bool:
        return all(child.state is State.READY for child in self.children)

    @property
    def finished(self) -> bool:
        return all(child.state is State.STOPPED for child in self.children)

    def startable(self) -> list[Child]:
        """Who is to be started now."""
        return [
            child
            for child in self.children
            if child.due
            or (child.state is State.WAITING and all(self._by_name[n].has_been_ready for n in child.spec.after))
        ]

    def stoppable(self) -> list[Child]:
        """Who is to be asked to end now, when all shall: those on whom nobody depends who has not ended."""
        needed = {name for child in self.children if child.state is not State.STOPPED for name in child.spec.after}
        return [c for c in self.children if c.name not in needed and c.state not in (State.STOPPING, State.STOPPED)]
