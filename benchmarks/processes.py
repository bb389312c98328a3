"""CPU time and memory of processes, read from /proc: comparable even where other programs share the machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, and of its children that have ended."""
    # The name of the program, in parentheses, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def peak_megabytes(pid: int) -> float:
    """Largest resident memory that the process ever had (VmHWM), in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"process {pid} has ended")


class CpuMeter:
    """CPU time that named processes have used since the meter was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def used(self) -> dict[str, float]:
        """Seconds by name."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}


def per_event(used: Mapping[str, float], events: int) -> str:
    """`refine 6.1, sink 20.3`: microseconds of CPU for each event, by process."""
    return ", ".join(f"{name} {seconds * 1e6 / events:.1f}" for name, seconds in used.items())


def fixed_loop_ms() -> float:
    """CPU time of a loop that is always the same: it grows when other programs take the caches and the other thread."""
    used = time.process_time()
    total = 0
    for n in range(2_000_000):
        total += n
    return (time.process_time() - used) * 1e3


def machine() -> str:
    """The machine and what else it does: cores, memory, load, versions."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return (
        f"{when} UTC on {cores} cores, {pages / (1 << 30):.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load average {load:.1f}"
    )
