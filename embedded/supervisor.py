"""Keeps the processes of one machine running: starts them in order, restarts what ends, drains them in reverse."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import proventrail
from proventrail.embedded.child import Child, ChildSpec, Clock, Family, State
from proventrail.embedded.errors import EmbeddedError, SupervisorError
from proventrail.embedded.process import Process, kill_session, spawn
from proventrail.embedded.run_file import Instance, RunFile, process_started

_log = logging.getLogger(__name__)

_TICK_SECONDS = 0.05
_BOUND_LOGS_SECONDS = 1.0


class Supervisor:
    """Runs `specs` for `data_dir` until it is told to stop.

    `run` does so in the calling thread and ends at SIGTERM or SIGINT (a second one cuts the draining short);
    `background` does so in a thread, for programs that work beside it. Children end with the supervisor even when it is
    killed with -9. `ports` is for the state file; `on_change` is called with each child whose state has changed.
    """

    def __init__(
        self,
        data_dir: Path,
        specs: Sequence[ChildSpec],
        *,
        ports: Mapping[str, int] | None = None,
        on_change: Callable[[Child], None] = lambda child: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._family = Family(specs, clock)
        self._run_file = RunFile(data_dir)
        self._ports = dict(ports or {})
        self._on_change = on_change
        self._clock = clock
        self._started = time.time()
        self._processes: dict[str, Process] = {}
        self._told: dict[str, tuple[object, ...]] = {}
        self._stops = 0
        self._ready = threading.Event()
        self._logs_bounded_at = clock()

    @property
    def children(self) -> list[Child]:
        """Every child with its state, in the order given."""
        return self._family.children

    def request_stop(self) -> None:
        """Drain and return from `run`; when called again, kill what still drains. From any thread or signal handler."""
        self._stops += 1

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Supervise until told to stop. `on_ready` is called once, when all children are ready the first time.

        Raises SupervisorError, before anything is started, if another supervisor runs on the folder.
        """
        self._run_file.acquire()
        try:
            with self._signals():
                while not self._family.finished:
                    self._tick()
                    if self._family.ready and not self._ready.is_set():
                        self._ready.set()
                        on_ready()
                    time.sleep(_TICK_SECONDS)
        finally:
            self._kill_all()
            self._run_file.release()

    @contextlib.contextmanager
    def background(self, ready_seconds: float = 120.0) -> Iterator[Supervisor]:
        """Supervise in a thread while the `with` block runs, which is entered when all children are ready.

        Raises SupervisorError with the children that are not ready after `ready_seconds`, or what `run` raises.
        """
        failure: list[BaseException] = []

        def supervise() -> None:
            try:
                self.run()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                failure.append(error)

        # Children are killed when this thread ends (see process.spawn), and they are stopped before it does.
        thread = threading.Thread(target=supervise, name="supervisor")
        thread.start()
        try:
            deadline = time.monotonic() + ready_seconds
            while not self._ready.wait(_TICK_SECONDS) and thread.is_alive():
                if time.monotonic() > deadline:
                    late = [f"{c.name} ({c.last_exit or c.state})" for c in self.children if c.state is not State.READY]
                    raise SupervisorError(f"not ready after {ready_seconds:.0f} s: {', '.join(late)}")
            if not failure:
                yield self
        finally:
            self.request_stop()
            thread.join()
            if failure:
                raise failure[0]

    # -- one round -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._reap()
        if self._stops:
            for child in self._family.stoppable():
                self._stop(child)
            self._kill_overdue()
        else:
            for child in self._family.startable():
                self._start(child)
            self._probe()
        try:
            self._bound_logs()
            self._tell()
        except OSError as error:
            # A full disk must not end what still runs.
            _log.warning("%s: %s", error.filename, error.strerror)

    def _bound_logs(self) -> None:
        if self._clock() - self._logs_bounded_at >= _BOUND_LOGS_SECONDS:
            self._logs_bounded_at = self._clock()
            for child in self.children:
                child.spec.log.bound()

    def _start(self, child: Child) -> None:
        try:
            process = spawn(child.spec.command(), child.spec.log, child.spec.env)
        except (EmbeddedError, OSError) as error:
            child.exited(str(error))
            return
        self._processes[child.name] = process
        child.started(process.pid)

    def _reap(self) -> None:
        for child in self.children:
            process = self._processes.get(child.name)
            if process is None or process.poll() is None:
                continue
            del self._processes[child.name]
            child.exited(_exit_text(process.returncode))
            child.spec.on_exit(process.returncode)

    def _probe(self) -> None:
        for child in self.children:
            if child.state is State.STARTING and child.spec.ready():
                child.became_ready()

    def _stop(self, child: Child) -> None:
        if child.name in self._processes:
            self._processes[child.name].terminate()
        child.stop()

    def _kill_overdue(self) -> None:
        for child in self.children:
            if self._stops > 1 and child.state is State.STOPPING:
                child.hurry()
            if child.overdue and child.name in self._processes:
                _log.warning("%s did not drain within %.0f s and is killed", child.name, child.spec.stop_seconds)
                kill_session(self._processes[child.name])

    def _kill_all(self) -> None:
        for process in self._processes.values():
            kill_session(process)
            process.wait()

    # -- what others see -----------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Write the state file and call `on_change`, if a child's state is another than before."""
        changed = [child for child in self.children if self._told.get(child.name) != _outline(child)]
        if not changed:
            return
        for child in changed:
            self._told[child.name] = _outline(child)
            if child.state is State.BACKOFF:
                _log.warning("%s ended (%s): see %s", child.name, child.last_exit, child.spec.log.path)
            else:
                _log.info("%s is %s", child.name, child.state)
        pid = os.getpid()
        status = {child.name: child.status() for child in self.children}
        self._run_file.write(
            Instance(pid, process_started(pid), self._started, proventrail.__version__, self._ports, status)
        )
        for child in changed:
            self._on_change(child)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask us to stop; only a main thread can and may take them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(signum: int, frame: FrameType | None) -> None:
            self.request_stop()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _outline(child: Child) -> tuple[object, ...]:
    return child.state, child.pid, child.failing


def _exit_text(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
