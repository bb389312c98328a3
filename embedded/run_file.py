"""`DIR/run/up.json`: how other commands find the processes that serve a data folder."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from proventrail.embedded.errors import SupervisorError


@dataclass(frozen=True)
class Instance:
    """A running `proventrail up`. `pid` and `process_started` name its process; ports are by purpose.

    `started` is Unix seconds. `children` is what `Child.status` says, by name.
    """

    pid: int
    process_started: str
    started: float
    version: str
    ports: Mapping[str, int] = field(default_factory=dict)
    children: Mapping[str, Any] = field(default_factory=dict)


def process_started(pid: int) -> str:
    """When the process was started, in the system's spelling; "" if there is none. Tells it from one that reuses `pid`.

    On Linux clock ticks since boot (field 22 of proc(5) stat) with the boot's id, elsewhere what ps(1) says.
    """
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    try:
        # The second field, the name, may hold spaces and brackets itself.
        after_name = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    if after_name[0] == "Z":
        return ""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{after_name[19]}"


class RunFile:
    """The state file of a data folder, and the lock that lets one supervisor at a time write it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.path = data_dir / "run" / "up.json"
        self._lock: TextIO | None = None

    def acquire(self) -> None:
        """Take the folder. Raises SupervisorError if another supervisor has it; the system frees a dead one's lock."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name("up.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            found = self.read()
            who = f" (process {found.pid})" if found else ""
            raise SupervisorError(
                f"`proventrail up` runs on {self._data_dir} already{who}: stop it, or give another --data-dir"
            ) from None
        self._lock = lock

    def release(self) -> None:
        """Remove the file and give the folder free."""
        if self._lock is not None:
            self.path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def write(self, instance: Instance) -> None:
        """Replace the file in one step; only its owner may read it."""
        staging = self.path.with_name("up.json.new")
        staging.unlink(missing_ok=True)
        with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump(asdict(instance), stream, indent=1)
        staging.replace(self.path)

    def read(self) -> Instance | None:
        """The instance that runs; None if there is none, or the file is what a killed one has left."""
        try:
            instance = Instance(**json.loads(self.path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        alive = process_started(instance.pid)
        return instance if alive and alive == instance.process_started else None


def running_instance(data_dir: Path) -> Instance | None:
    """The `proventrail up` that serves `data_dir` now, if one does."""
    return RunFile(data_dir).read()
