"""Commands find the instance that runs, and are not misled by what a dead one has left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proventrail.embedded.errors import SupervisorError
from proventrail.embedded.run_file import Instance, RunFile, process_started, running_instance


def instance(pid: int) -> Instance:
    return Instance(pid, process_started(pid), 1.5, "0.1.0", {"gateway": 8080}, {"kafka": {"state": "ready"}})


def test_what_was_written_is_found_and_private(tmp_path: Path) -> None:
    file = RunFile(tmp_path)
    file.acquire()
    file.write(instance(os.getpid()))
    file.write(instance(os.getpid()))
    assert running_instance(tmp_path) == instance(os.getpid())
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.release()
    assert running_instance(tmp_path) is None


def test_a_dead_process_is_stale(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    file = RunFile(tmp_path)
    file.acquire()
    file.write(instance(child.pid))
    assert running_instance(tmp_path) is not None
    child.kill()
    assert child.wait() == -9
    assert running_instance(tmp_path) is None
    child.communicate()


def test_a_process_that_reuses_the_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    file = RunFile(tmp_path)
    file.acquire()
    file.write(Instance(os.getpid(), "another start", 1.5, "0.1.0"))
    assert running_instance(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"pid": 1})])
def test_a_damaged_file_is_no_instance(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "up.json").write_text(text)
    assert running_instance(tmp_path) is None


def test_one_supervisor_at_a_time(tmp_path: Path) -> None:
    first, second = RunFile(tmp_path), RunFile(tmp_path)
    first.acquire()
    first.write(instance(os.getpid()))
    with pytest.raises(SupervisorError, match=rf"already \(process {os.getpid()}\)"):
        second.acquire()
    first.release()
    second.acquire()


def test_process_started_knows_the_dead_and_zombies() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_started(child.pid) == process_started(child.pid) != ""
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_started(child.pid) == ""
    child.communicate()
    assert process_started(child.pid) == ""
