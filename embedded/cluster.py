"""Several embedded brokers as one cluster, for tests of what a lost node does."""

from __future__ import annotations

import time
from pathlib import Path

from confluent_kafka.admin import AdminClient

from proventrail.embedded.broker import START_SECONDS, KafkaBroker, free_port, new_cluster_id
from proventrail.embedded.errors import BrokerError


class KafkaCluster:
    """`n` nodes on this machine, each broker and controller; internal topics are replicated three times."""

    def __init__(self, data_dir: Path, n: int = 3, *, heap: str = "256m") -> None:
        cluster_id = new_cluster_id()
        voters = {node: free_port() for node in range(1, n + 1)}
        self.nodes = [
            KafkaBroker(data_dir / f"node-{node}", node_id=node, voters=voters, cluster_id=cluster_id, heap=heap)
            for node in voters
        ]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.bootstrap_servers for node in self.nodes)

    def start(self, i: int | None = None) -> KafkaCluster:
        """Start node `i` (from 0), or every node that does not run, and wait until they hold all records again."""
        chosen = [node for node in (self.nodes if i is None else [self.nodes[i]]) if node.process is None]
        for node in chosen:
            node.start(wait=False)
        for node in chosen:
            node.wait_ready()
        self._wait_in_sync()
        return self

    def _wait_in_sync(self) -> None:
        """Return when every partition's replicas on running nodes have all of it. Raises BrokerError after a while."""
        running = {node.node_id for node in self.nodes if node.process is not None}
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            metadata = admin.list_topics(timeout=10)
            partitions = [p for topic in metadata.topics.values() for p in topic.partitions.values()]
            behind = [p for p in partitions if (set(p.replicas) & running) - set(p.isrs)]
            if metadata.brokers.keys() >= running and not behind:
                return
            time.sleep(0.05)
        raise BrokerError(f"the cluster's replicas are not in sync after {START_SECONDS:.0f} s")

    def kill9(self, i: int) -> None:
        """End node `i` (from 0) as a crash would."""
        self.nodes[i].kill9()

    def stop(self) -> None:
        """End all nodes at once: the last ones of a cluster have no quorum to shut down in order."""
        for node in self.nodes:
            node.kill9()
