"""Real processes under the supervisor: restarted, drained in order, gone when it is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.broker import KafkaBroker
from proventrail.embedded.child import Backoff, Child, ChildSpec, State
from proventrail.embedded.errors import BrokerError, SupervisorError
from proventrail.embedded.probes import http_ready, port_open
from proventrail.embedded.run_file import process_started, running_instance
from proventrail.embedded.supervisor import Supervisor

FOREVER = "import time\nprint('up', flush=True)\nwhile True: time.sleep(1)"
DRAINS = """
import pathlib, signal, sys, time
def drain(*_):
    with pathlib.Path(sys.argv[1]).open("a") as order: order.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
print("up", flush=True)
while True: time.sleep(1)
"""
IGNORES = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FOREVER}"


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def python(folder: Path, name: str, code: str, *arguments: str, **more) -> ChildSpec:
    """A Python child that counts as ready when it has printed "up" in this run."""
    log = BoundedLog(folder / f"{name}.log")
    seen = [0]

    def ready() -> bool:
        ups = log.path.read_text().count("up")
        fresh = ups > seen[0]
        seen[0] = ups
        return fresh

    argv = [sys.executable, "-c", code, *arguments]
    return ChildSpec(name, argv, log, ready=ready, backoff=Backoff(first=0.1), **more)


def test_a_child_killed_by_9_is_started_again(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [python(tmp_path, "a", FOREVER)]).background() as supervisor:
        (child,) = supervisor.children
        before = child.pid
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: child.state is State.READY and child.pid != before, "not started again")
        assert child.last_exit == "killed by SIGKILL"
        assert child.restarts == 1
        found = running_instance(tmp_path)
        assert found is not None
        wait_for(lambda: running_instance(tmp_path).children["a"]["pid"] == child.pid, "state file is behind")
        assert found.pid == os.getpid()
    assert child.state is State.STOPPED
    assert running_instance(tmp_path) is None


def test_a_child_that_ends_at_once_is_reported_as_failing_and_tried_on(tmp_path: Path) -> None:
    spec = ChildSpec(
        "a",
        [sys.executable, "-c", "raise SystemExit(3)"],
        BoundedLog(tmp_path / "a.log"),
        ready=lambda: False,
        backoff=Backoff(first=0.01, longest=0.02, failing_after=3),
    )
    supervisor = Supervisor(tmp_path, [spec])
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    (child,) = supervisor.children
    wait_for(lambda: child.failing and child.restarts > 5, "not failing")
    wait_for(lambda: running_instance(tmp_path).children["a"]["failing"], "not reported")
    assert child.last_exit == "exit code 3"
    supervisor.request_stop()
    thread.join()


def test_a_program_that_is_not_there_is_an_exit_like_another(tmp_path: Path) -> None:
    spec = ChildSpec("a", ["/nowhere/program"], BoundedLog(tmp_path / "a.log"), ready=lambda: False)
    with (
        pytest.raises(SupervisorError, match=r"a \(exit code 127\)"),
        Supervisor(tmp_path, [spec]).background(ready_seconds=1),
    ):
        pytest.fail("entered")
    assert "/nowhere/program cannot be started: No such file" in spec.log.path.read_text()


def test_a_command_that_cannot_be_made_is_an_exit_too(tmp_path: Path) -> None:
    def argv() -> list[str]:
        raise BrokerError("no Java")

    spec = ChildSpec("a", argv, BoundedLog(tmp_path / "a.log"))
    with (
        pytest.raises(SupervisorError, match=r"a \(no Java\)"),
        Supervisor(tmp_path, [spec]).background(ready_seconds=0.3),
    ):
        pytest.fail("entered")


def test_children_drain_in_reverse(tmp_path: Path) -> None:
    order = tmp_path / "order"
    specs = [
        python(tmp_path, name, DRAINS, str(order), name, after=after)
        for name, after in (("kafka", ()), ("refine", ("kafka",)), ("sink", ("refine",)))
    ]
    exits: list[int] = []
    specs.append(python(tmp_path, "last", DRAINS, str(order), "last", after=("sink",), on_exit=exits.append))
    with Supervisor(tmp_path, specs).background():
        pass
    assert order.read_text().split() == ["last", "sink", "refine", "kafka"]
    assert exits == [0]


def test_a_child_that_does_not_drain_is_killed(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [python(tmp_path, "a", IGNORES, stop_seconds=0.2)]).background() as supervisor:
        (child,) = supervisor.children
    assert child.last_exit == "killed by SIGKILL"


def test_asked_twice_it_waits_no_longer(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [python(tmp_path, "a", IGNORES, stop_seconds=3600)]).background() as supervisor:
        supervisor.request_stop()
    assert supervisor.children[0].last_exit == "killed by SIGKILL"


def test_changes_are_told_in_order(tmp_path: Path) -> None:
    told: list[str] = []

    def on_change(child: Child) -> None:
        told.append(child.state.value)

    with Supervisor(tmp_path, [python(tmp_path, "a", FOREVER)], on_change=on_change).background():
        pass
    assert [state for state in told if state != "starting"] == ["ready", "stopping", "stopped"]


def test_an_error_of_the_supervisor_itself_kills_the_children_and_is_raised(tmp_path: Path) -> None:
    def on_change(child: Child) -> None:
        if child.state is State.READY:
            raise KeyError("on purpose")

    supervisor = Supervisor(tmp_path, [python(tmp_path, "a", FOREVER)], on_change=on_change)
    with pytest.raises(KeyError, match="on purpose"), supervisor.background():
        pytest.fail("entered")
    pid = supervisor.children[0].pid
    assert process_started(pid) == ""
    assert running_instance(tmp_path) is None


def test_a_second_supervisor_is_refused_before_it_starts_anything(tmp_path: Path) -> None:
    with Supervisor(tmp_path, [python(tmp_path, "a", FOREVER)]).background() as first:
        other = Supervisor(tmp_path, [python(tmp_path, "b", FOREVER)])
        with pytest.raises(SupervisorError, match="already"):
            other.run()
        assert other.children[0].state is State.WAITING
        assert first.children[0].state is State.READY


def test_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    with Supervisor(tmp_path, [python(tmp_path, "a", FOREVER)]).background():
        pass
    assert threading.active_count() == before


# -- the supervisor as a process of its own ----------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.child import ChildSpec
from proventrail.embedded.supervisor import Supervisor
folder, code, stop_seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
def spec(name, *after):
    log = BoundedLog(folder / f"{name}.log")
    argv = [sys.executable, "-c", code, str(folder / "order"), name]
    ready = lambda: "up" in log.path.read_text()
    return ChildSpec(name, argv, log, ready=ready, after=after, stop_seconds=stop_seconds)
Supervisor(folder, [spec("a"), spec("b", "a")], ports={"x": 1}).run(lambda: print("ready", flush=True))
print("drained", flush=True)
"""


def start_program(folder: Path, code: str, stop_seconds: float = 10) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", PROGRAM, str(folder), code, str(stop_seconds)]
    program = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    return program


def pids(folder: Path) -> list[int]:
    return [child["pid"] for child in json.loads((folder / "run" / "up.json").read_text())["children"].values()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_everything(tmp_path: Path, number: signal.Signals) -> None:
    program = start_program(tmp_path, DRAINS)
    wait_for(lambda: None not in pids(tmp_path), "no state file")
    found = running_instance(tmp_path)
    assert found is not None
    assert (found.pid, found.ports) == (program.pid, {"x": 1})
    # As a terminal does on Ctrl-C: to the whole foreground group, of which the children are no part.
    os.killpg(program.pid, number)
    out, _ = program.communicate(timeout=30)
    assert (out, program.returncode) == ("drained\n", 0)
    assert (tmp_path / "order").read_text().split() == ["b", "a"]
    assert not (tmp_path / "run" / "up.json").exists()


def test_a_second_signal_kills(tmp_path: Path) -> None:
    program = start_program(tmp_path, IGNORES, stop_seconds=3600)
    program.terminate()
    wait_for(lambda: running_instance(tmp_path).children["b"]["state"] == "stopping", "not draining")
    program.terminate()
    out, _ = program.communicate(timeout=30)
    assert (out, program.returncode) == ("drained\n", 0)


def test_kill_9_of_the_supervisor_leaves_no_orphan_and_the_next_starts(tmp_path: Path) -> None:
    program = start_program(tmp_path, IGNORES)
    wait_for(lambda: None not in pids(tmp_path), "no state file")
    orphans = pids(tmp_path)
    program.kill()
    program.communicate()
    wait_for(lambda: not any(process_started(pid) for pid in orphans), "children outlive their supervisor")
    assert (tmp_path / "run" / "up.json").exists()
    assert running_instance(tmp_path) is None
    for log in tmp_path.glob("*.log"):
        log.unlink()
    again = start_program(tmp_path, DRAINS)
    again.terminate()
    assert again.communicate(timeout=30)[0] == "drained\n"


# -- with the broker ---------------------------------------------------------------------------------------------------


def test_the_broker_as_a_child_comes_back_after_kill_9(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "kafka")
    with Supervisor(tmp_path, [broker.child()], ports={"kafka": broker.port}).background() as supervisor:
        (child,) = supervisor.children
        assert broker.answers()
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: child.restarts == 1 and child.state is State.READY, "not back")
        assert broker.answers()
    assert child.last_exit == "exit code 143"


# -- probes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_http_probe(status: int, ready: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    port = server.server_address[1]
    assert port_open(port)()
    assert http_ready(port)() is ready
    server.shutdown()
    server.server_close()
    thread.join()
    assert not port_open(port)()
    assert not http_ready(port)()
