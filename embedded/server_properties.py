"""Kafka's `server.properties` for a node on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from proventrail.embedded.errors import BrokerError

HOST = "127.0.0.1"

_ONE_MACHINE = {
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 1,
    "num.network.threads": 2,
    "num.io.threads": 2,
    "num.replica.fetchers": 1,
    "background.threads": 2,
    "log.cleaner.threads": 1,
    # The default of 128 MB is half of the heap.
    "log.cleaner.dedupe.buffer.size": 16 << 20,
    # After kill -9 a node waits until its former self counts as gone.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
}


def common_properties() -> str:
    """The lines that every broker of ours has, embedded or in production."""
    return files("proventrail.embedded").joinpath("broker.properties").read_text()


def server_properties(
    log_dir: Path,
    node_id: int,
    port: int,
    controller_port: int,
    voters: Mapping[int, int],
    more: Mapping[str, object],
) -> str:
    """Text of the file. `voters` is node id -> controller port of a cluster; empty for a node alone.

    A name in `more` replaces what we would set; of a name that is in the file twice Kafka takes the last value.

    Raises BrokerError if `log_dir` cannot be written in Kafka's configuration.
    """
    if "," in str(log_dir):
        raise BrokerError(f"Kafka cannot keep data in a folder with a comma in its name: {log_dir}")
    replicas = min(3, max(1, len(voters)))
    own: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node_id,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_dir,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": max(1, replicas - 1),
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": max(1, replicas - 1),
        **_ONE_MACHINE,
    }
    if voters:
        own["controller.quorum.voters"] = ",".join(f"{n}@{HOST}:{p}" for n, p in sorted(voters.items()))
    else:
        own["controller.quorum.bootstrap.servers"] = f"{HOST}:{controller_port}"
    lines = (f"{name}={_escaped(value)}\n" for name, value in {**own, **more}.items())
    return common_properties() + "".join(lines)


def _escaped(value: object) -> str:
    """A value as java.util.Properties reads it: Latin-1 bytes, a backslash starts an escape."""
    text = str(value).replace("\\", "\\\\")
    units = text.encode("utf-16-be")
    pairs = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join(chr(unit) if 32 <= unit < 127 else f"\\u{unit:04x}" for unit in pairs)
