"""The embedded engine: chDB (ClickHouse in this process) on a data directory, with tiers as local folders."""

from __future__ import annotations

import fcntl
import os
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect

from proventrail.storage.dialect import Dialect
from proventrail.storage.store import ClientStore

EMBEDDED_DIALECT = Dialect(storage_policy="tiered")


class EngineError(Exception):
    """The embedded engine cannot be opened; says who has it or what is wrong."""


class Engine:
    """One open store. chDB allows one engine per process and one process per folder; clients of it are many.

    Raises EngineError where another process has the folder open.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir = data_dir.resolve()
        self._lock = self._take_lock()
        self._config = self._write_config()

    def _take_lock(self) -> int:
        path = self.data_dir / "lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 32, 0).decode() or "another process"
            os.close(lock)
            raise EngineError(
                f"the store in {self.data_dir} is open in process {owner}: reach it over HTTP, or stop that process"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return lock

    def _write_config(self) -> Path:
        config, users = self.data_dir / "config.xml", self.data_dir / "users.xml"
        source = files("proventrail.storage").joinpath("config")
        users.write_text(source.joinpath("users.xml").read_text())
        text = source.joinpath("embedded.xml").read_text()
        config.write_text(text.replace("{data}", str(self.data_dir)).replace("{users}", str(users)))
        return config

    @property
    def connection_string(self) -> str:
        """How chDB names this store; the same for every connection to it."""
        return f"{self.data_dir / 'engine'}?{urlencode({'config-file': str(self._config)})}"

    def client(self) -> Any:
        """A new client of clickhouse-connect with a connection of its own; clients run in parallel threads."""
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(self.data_dir / "engine"),
            chdb_options={"config-file": str(self._config)},
        )

    def store(self) -> ClientStore:
        return ClientStore(self.client())

    def close(self) -> None:
        """Let go of the folder. Clients must be closed before."""
        os.close(self._lock)
