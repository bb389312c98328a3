"""What `proventrail up` runs on a data directory, so that the other commands find it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instance:
    """Addresses of a running pipeline, on the loopback interface unless it was told otherwise."""

    pid: int
    started: float
    bootstrap_servers: str
    gateway_url: str
    clickhouse_url: str


def _path(data_dir: Path) -> Path:
    return data_dir / "run" / "instance.json"


def _start_time(pid: int) -> float | None:
    """When a process began, in clock ticks since boot (proc(5), field 22); None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return float(stat.rpartition(")")[2].split()[19])


def write_instance(data_dir: Path, bootstrap_servers: str, gateway_url: str, clickhouse_url: str) -> None:
    """Say that this process runs the pipeline of `data_dir`."""
    pid = os.getpid()
    instance = Instance(pid, _start_time(pid) or 0.0, bootstrap_servers, gateway_url, clickhouse_url)
    path = _path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(instance)))
    draft.chmod(0o600)
    draft.replace(path)


def remove_instance(data_dir: Path) -> None:
    _path(data_dir).unlink(missing_ok=True)


def read_instance(data_dir: Path) -> Instance | None:
    """The running instance, or None; a file that a dead process left behind does not count."""
    try:
        instance = Instance(**json.loads(_path(data_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return instance if (_start_time(instance.pid) or 0.0) == instance.started else None
