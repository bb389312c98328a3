"""The stages as processes over a broker or a cluster, to be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

from proventrail.cli.options import Target
from proventrail.cli.vault_access import VaultAccess
from proventrail.embedded.broker import free_port
from proventrail.gateway.auth import ensure_token
from proventrail.privacy.vault import Vault
from proventrail.schemas.settings import ClickHouseSettings, KafkaSettings
from proventrail.schemas.topics import topic_specs
from proventrail.storage.store import ClientStore, connect
from proventrail.streaming.admin import ensure_topics

PARTITIONS = 3


class Road:
    """`refine` workers and one `sink` with the embedded store in `folder`, on the broker at `servers`."""

    def __init__(self, folder: Path, servers: str, replication: int = 1) -> None:
        self.folder, self.servers = folder, servers
        self._replication = replication
        folder.mkdir(parents=True, exist_ok=True)
        self._token, _ = ensure_token(folder)
        self._port = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.make_topics()

    def make_topics(self) -> None:
        settings = KafkaSettings(bootstrap_servers=self.servers)
        ensure_topics(settings, topic_specs(PARTITIONS, self._replication, 1 << 30))

    def start(self, name: str) -> None:
        """Start the process `name`, which is `refine…` or `sink`."""
        stage = "sink" if name == "sink" else "refine"
        options = ["--clickhouse-port", str(self._port)] if stage == "sink" else []
        command = [sys.executable, "-m", "proventrail.cli", stage, "--data-dir", str(self.folder), "--member", name]
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._processes[name] = subprocess.Popen(
                [*command, "--bootstrap-servers", self.servers, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill9(self, name: str) -> None:
        process = self._processes.pop(name)
        assert process.poll() is None, f"{name} ended by itself: {self.log_of(name)}"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self, name: str) -> int:
        """End `name` as an operator would; its exit code."""
        process = self._processes.pop(name)
        process.terminate()
        return process.wait(60)

    def check_alive(self) -> None:
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self.log_of(name)}"

    def log_of(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def vault(self) -> Vault:
        """The vault that the refine workers share."""
        return VaultAccess(Target(data_dir=self.folder)).open()

    def store(self) -> ClientStore:
        url = f"http://127.0.0.1:{self._port}"
        return connect(ClickHouseSettings(url=url, username="auditor", password=SecretStr(self._token)))

    def stop(self) -> None:
        for name in list(self._processes):
            process = self._processes.pop(name)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
