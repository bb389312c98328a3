"""Starting and ending one child process: its own session, ends with us, output in a bounded file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from proventrail.embedded import launch
from proventrail.embedded.bounded_log import BoundedLog

Process = subprocess.Popen[bytes]


def spawn(command: Sequence[str], log: BoundedLog, env: Mapping[str, str] | None = None) -> Process:
    """Start `command` with its output at the end of `log` and `env` on top of our environment.

    It leads a session of its own, so a Ctrl-C at the terminal reaches us alone. On Linux the kernel kills it when the
    *thread* that called this ends: call from one that lives as long as the child shall.
    """
    with log.open() as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )


def kill_session(process: Process) -> None:
    """SIGKILL for the child and what it has started; nothing if it has been waited for already."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            # PermissionError: the group exists but is all zombies (macOS).
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            process.kill()


def stop(process: Process, seconds: float) -> int:
    """SIGTERM, and SIGKILL when it still runs after `seconds`. Gives the exit code, negative for a signal."""
    process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_session(process)
        return process.wait()
