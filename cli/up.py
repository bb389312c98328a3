"""`proventrail up`: broker, refine, sink and gateway of one machine, supervised."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from confluent_kafka import KafkaException

from proventrail.cli.errors import CommandError
from proventrail.cli.vault_access import VaultAccess, policy_option, with_vault
from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.broker import KafkaBroker, free_port, port_is_free
from proventrail.embedded.child import ChildSpec
from proventrail.embedded.probes import http_ready
from proventrail.embedded.run_file import running_instance
from proventrail.embedded.supervisor import Supervisor
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import topic_specs
from proventrail.streaming.admin import ensure_topics
from proventrail.telemetry.logs import configure_logging

PARTITIONS = 4
_PORT = click.IntRange(0, 65535)

_MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(256 << 10),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 20),
    "JE_MALLOC_CONF": "dirty_decay_ms:200,muzzy_decay_ms:0",
}
"""Allocators that give memory back at once. Measured, anonymous memory at its peak: refine 350 -> 200 MB, sink 770 ->
550 MB. The last one is the engine's own allocator."""


class Pipeline:
    """The processes of one data directory, their addresses, and the supervisor that runs them. Port 0: any.

    `stage_options` go to refine, sink and gateway, `privacy_options` to refine.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clickhouse_port: int = 0,
        kafka_port: int = 0,
        java: Path | None = None,
        jars: Path | None = None,
        retention_bytes: int = 4 << 30,
        stage_options: Sequence[str] = (),
        privacy_options: Sequence[str] = (),
    ) -> None:
        self._stage_options = stage_options
        self._privacy_options = privacy_options
        self.data_dir = data_dir
        self._broker = KafkaBroker(data_dir / "kafka", port=kafka_port, java=java, jars=jars)
        self._retention_bytes = retention_bytes
        self._host = host
        self.ports = {
            "gateway": port or free_port(),
            "clickhouse": clickhouse_port or free_port(),
            "kafka": self._broker.port,
            "refine": free_port(),
            "sink": free_port(),
        }
        self.supervisor = Supervisor(
            data_dir, [self._kafka(), self._refine(), self._sink(), self._gateway()], ports=self.ports
        )

    @property
    def bootstrap_servers(self) -> str:
        return self._broker.bootstrap_servers

    @property
    def url(self) -> str:
        return f"http://{'127.0.0.1' if self._host in ('0.0.0.0', '::') else self._host}:{self.ports['gateway']}"

    @property
    def clickhouse_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['clickhouse']}"

    def _kafka(self) -> ChildSpec:
        return ChildSpec(
            "kafka",
            self._broker.command,
            self._broker.log,
            self._kafka_ready,
            stop_seconds=30,
            on_exit=self._broker.ended,
        )

    def _kafka_ready(self) -> bool:
        if not self._broker.answers():
            return False
        settings = KafkaSettings(bootstrap_servers=self.bootstrap_servers)
        try:
            ensure_topics(settings, topic_specs(PARTITIONS, 1, self._retention_bytes), timeout=1)
        except KafkaException:
            # It has answered and is away again, or is not ready for all that is asked.
            return False
        return True

    def refuse_if_taken(self) -> None:
        """Raise CommandError if another `up` has the folder, or someone listens on a port that was asked for."""
        found = running_instance(self.data_dir)
        if found is not None:
            where = f"{self.data_dir} already (process {found.pid})"
            raise CommandError(f"`proventrail up` runs on {where}: stop it, or give another --data-dir")
        options = {"gateway": "--port", "clickhouse": "--clickhouse-port", "kafka": "--kafka-port"}
        for purpose, option in options.items():
            if not port_is_free(self.ports[purpose]):
                raise CommandError(f"port {self.ports[purpose]} is in use: give another {option} (0: any that is free)")

    def _stage(
        self,
        name: str,
        options: list[str],
        ready: Callable[[], bool],
        after: tuple[str, ...] = ("kafka",),
        env: Mapping[str, str] | None = None,
    ) -> ChildSpec:
        shared = ["--data-dir", str(self.data_dir), "--bootstrap-servers", self.bootstrap_servers]
        shared += self._stage_options
        argv = [sys.executable, "-m", "proventrail.cli", name, *shared, *options]
        log = BoundedLog(self.data_dir / "logs" / f"{name}.log")
        return ChildSpec(name, argv, log, ready, after=after, stop_seconds=30, env=env or {})

    def _refine(self) -> ChildSpec:
        port = self.ports["refine"]
        options = ["--member", "refine", "--status-port", str(port), *self._privacy_options]
        return self._stage("refine", options, http_ready(port), env=_MEMORY)

    def _sink(self) -> ChildSpec:
        port = self.ports["sink"]
        options = ["--member", "sink", "--clickhouse-port", str(self.ports["clickhouse"]), "--status-port", str(port)]
        return self._stage("sink", options, http_ready(port), env=_MEMORY)

    def _gateway(self) -> ChildSpec:
        port = self.ports["gateway"]
        options = ["--host", self._host, "--port", str(port)]
        for stage in ("refine", "sink"):
            options += ["--stage", f"{stage}=http://127.0.0.1:{self.ports[stage]}/health"]
        return self._stage("gateway", options, http_ready(port), ("kafka", "refine", "sink"))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway listens.")
@click.option("--port", type=_PORT, default=5000, show_default=True, help="Of the gateway; 0: any.")
@click.option("--clickhouse-port", type=_PORT, default=8123, show_default=True, help="Of the store's endpoint; 0: any.")
@click.option("--kafka-port", type=_PORT, default=9092, show_default=True, help="Of the embedded broker; 0: any.")
@click.option("--java", type=click.Path(path_type=Path), help="A Java (17 or later), instead of the wheel's.")
@click.option("--kafka-jars", type=click.Path(path_type=Path, exists=True), help="A folder with Kafka's jars.")
@click.option(
    "--retention-bytes", type=click.IntRange(1), default=4 << 30, show_default=True, help="Kafka's, per partition."
)
@policy_option
@with_vault
def up(
    access: VaultAccess,
    host: str,
    port: int,
    clickhouse_port: int,
    kafka_port: int,
    java: Path | None,
    kafka_jars: Path | None,
    retention_bytes: int,
    policy: Path | None,
) -> None:
    """Run the whole pipeline on this machine until Ctrl-C."""
    from proventrail.cli.privacy_step import policy_of
    from proventrail.embedded.fetch import fetch_with_bar
    from proventrail.gateway import client_configuration, ensure_token

    configure_logging("up")
    target = access.target
    # A mistake in it is told here, at once, and not in the log of a stage.
    policy_of(policy)
    pipeline = Pipeline(
        target.data_dir,
        host=host,
        port=port,
        clickhouse_port=clickhouse_port,
        kafka_port=kafka_port,
        java=java,
        jars=kafka_jars,
        retention_bytes=retention_bytes,
        stage_options=target.registry_options(),
        privacy_options=[*access.options(), *(["--policy", str(policy.resolve())] if policy else [])],
    )
    pipeline.refuse_if_taken()
    if kafka_jars is None:
        fetch_with_bar()
    token, made = ensure_token(target.data_dir)

    def tell() -> None:
        click.echo(f"Proventrail is ready. Events: {pipeline.url}/api/v1/lineage · SQL: {pipeline.clickhouse_url}")
        click.echo(f"Kafka: {pipeline.bootstrap_servers} · data and token: {target.data_dir} · Ctrl-C stops")
        if made:
            click.echo("\nThis token was made now and is shown once:\n")
            click.echo(client_configuration(pipeline.url, token))

    pipeline.supervisor.run(tell)
    click.echo("stopped; what was accepted is on disk")
