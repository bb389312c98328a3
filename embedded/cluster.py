"""Several embedded brokers as one cluster, for tests of what a lost node does."""

from __future__ import annotations

from pathlib import Path

from proventrail.embedded.broker import KafkaBroker, free_port, new_cluster_id


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
        """Start node `i` (from 0), or every node that does not run, and wait until they answer."""
        chosen = [node for node in (self.nodes if i is None else [self.nodes[i]]) if node.process is None]
        for node in chosen:
            node.start(wait=False)
        for node in chosen:
            node.wait_ready()
        return self

    def kill9(self, i: int) -> None:
        """End node `i` (from 0) as a crash would."""
        self.nodes[i].kill9()

    def stop(self) -> None:
        """End all nodes at once: the last ones of a cluster have no quorum to shut down in order."""
        for node in self.nodes:
            node.kill9()
