"""`proventrail up`: broker, refine, sink and gateway of one machine, supervised."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
import httpx

from proventrail.cli.errors import CommandError
from proventrail.cli.instance import read_instance, remove_instance, write_instance
from proventrail.cli.options import Target, with_target
from proventrail.cli.processes import Child, Processes
from proventrail.cli.stages import stop_on_signals
from proventrail.embedded.broker import KafkaBroker, free_port
from proventrail.telemetry.logs import configure_logging

PARTITIONS = 4


def answers(url: str) -> Callable[[], bool]:
    """A probe that is true when `url` answers 200."""

    def probe() -> bool:
        try:
            return httpx.get(url, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    return probe


class Pipeline:
    """The processes of one data directory, and their addresses."""

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
    ) -> None:
        self.data_dir = data_dir
        self._broker = KafkaBroker(data_dir / "kafka", port=kafka_port, java=java, jars=jars)
        self._retention_bytes = retention_bytes
        self._host = host
        self.port, self.clickhouse_port = port or free_port(), clickhouse_port or free_port()
        self._status = {name: free_port() for name in ("refine", "sink")}
        self.processes = Processes([self._kafka(), self._sink(), self._refine(), self._gateway()])

    @property
    def bootstrap_servers(self) -> str:
        return self._broker.bootstrap_servers

    @property
    def url(self) -> str:
        return f"http://{'127.0.0.1' if self._host in ('0.0.0.0', '::') else self._host}:{self.port}"

    @property
    def clickhouse_url(self) -> str:
        return f"http://127.0.0.1:{self.clickhouse_port}"

    def _command(self, stage: str, *options: str) -> Callable[[], list[str]]:
        shared = ["--data-dir", str(self.data_dir), "--bootstrap-servers", self.bootstrap_servers]
        return lambda: [sys.executable, "-m", "proventrail.cli", stage, *shared, *options]

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _kafka(self) -> Child:
        return Child(
            "kafka", self._broker.command, self._kafka_ready, self._log("kafka"), lambda code: self._broker.ended(code)
        )

    def _kafka_ready(self) -> bool:
        if not self._broker.answers():
            return False
        self._ensure_topics()
        return True

    def _ensure_topics(self) -> None:
        from proventrail.schemas.settings import KafkaSettings
        from proventrail.schemas.topics import topic_specs
        from proventrail.streaming.admin import ensure_topics

        settings = KafkaSettings(bootstrap_servers=self.bootstrap_servers)
        ensure_topics(settings, topic_specs(PARTITIONS, 1, self._retention_bytes))

    def _health(self, stage: str) -> str:
        return f"http://127.0.0.1:{self._status[stage]}/health"

    def _sink(self) -> Child:
        options = ["--clickhouse-port", str(self.clickhouse_port), "--status-port", str(self._status["sink"])]
        return Child("sink", self._command("sink", *options), answers(self._health("sink")), self._log("sink"))

    def _refine(self) -> Child:
        options = ["--status-port", str(self._status["refine"])]
        return Child("refine", self._command("refine", *options), answers(self._health("refine")), self._log("refine"))

    def _gateway(self) -> Child:
        options = ["--host", self._host, "--port", str(self.port)]
        for stage in self._status:
            options += ["--stage", f"{stage}={self._health(stage)}"]
        return Child("gateway", self._command("gateway", *options), answers(f"{self.url}/health"), self._log("gateway"))

    def start(self, stop: threading.Event) -> bool:
        """Start everything; False if `stop` was set meanwhile. Raises CommandError if it runs already, TimeoutError."""
        running = read_instance(self.data_dir)
        if running is not None:
            raise CommandError(f"process {running.pid} runs on {self.data_dir} already: stop it, or use it")
        if not self.processes.start(stop):
            return False
        write_instance(self.data_dir, self.bootstrap_servers, self.url, self.clickhouse_url)
        return True

    def stop(self) -> None:
        remove_instance(self.data_dir)
        self.processes.stop()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway listens.")
@click.option("--port", type=int, default=5000, show_default=True, help="Of the gateway; 0: any.")
@click.option(
    "--clickhouse-port", type=int, default=8123, show_default=True, help="Of the ClickHouse endpoint; 0: any."
)
@click.option("--kafka-port", type=int, default=9092, show_default=True, help="Of the embedded broker; 0: any.")
@click.option("--java", type=click.Path(path_type=Path), help="A Java (17 or later), instead of the wheel's.")
@click.option("--kafka-jars", type=click.Path(path_type=Path, exists=True), help="A folder with Kafka's jars.")
@click.option("--retention-bytes", type=int, default=4 << 30, show_default=True, help="Kafka's, per partition.")
@with_target
def up(
    target: Target,
    host: str,
    port: int,
    clickhouse_port: int,
    kafka_port: int,
    java: Path | None,
    kafka_jars: Path | None,
    retention_bytes: int,
) -> None:
    """Run the whole pipeline on this machine until Ctrl-C."""
    from proventrail.embedded.fetch import fetch_with_bar
    from proventrail.gateway import client_configuration, ensure_token

    configure_logging("up")
    stop = stop_on_signals()
    token, made = ensure_token(target.data_dir)
    if kafka_jars is None:
        fetch_with_bar()
    pipeline = Pipeline(
        target.data_dir,
        host=host,
        port=port,
        clickhouse_port=clickhouse_port,
        kafka_port=kafka_port,
        java=java,
        jars=kafka_jars,
        retention_bytes=retention_bytes,
    )
    try:
        if pipeline.start(stop):
            click.echo(f"Proventrail is ready. Events: {pipeline.url}/api/v1/lineage · SQL: {pipeline.clickhouse_url}")
            click.echo(f"Kafka: {pipeline.bootstrap_servers} · data and token: {target.data_dir} · Ctrl-C stops")
            if made:
                click.echo("\nThis token was made now and is shown once:\n")
                click.echo(client_configuration(pipeline.url, token))
            pipeline.processes.run(stop)
    finally:
        click.echo("draining")
        pipeline.stop()
