"""Becomes another program that ends with its parent: `python -I -S launch.py PARENT_PID PROGRAM ARGUMENT…`.

The kernel is asked to send SIGKILL when the parent is gone, however it went (`PR_SET_PDEATHSIG`, prctl(2); it stays
over exec). A program of its own rather than `preexec_fn`, which is unsafe where there are threads. SIGKILL rather than
SIGTERM: a child that lingers would block the next start, and all of them go on where they were after kill -9.
Where there is no prctl (macOS), the program simply starts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent_pid: int, command: list[str]) -> None:
    """Never returns: exec, or exit 127 if the program cannot be started, 1 if the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
