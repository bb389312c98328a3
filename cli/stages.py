"""The stages as commands: each is one process, here and in containers. `up` runs them all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from proventrail.cli.ask import open_store
from proventrail.cli.errors import CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.vault_access import VaultAccess, policy_option, with_vault
from proventrail.schemas.avro import SINGLE_OBJECT, Framing, Resolver
from proventrail.storage.dialect import Dialect
from proventrail.streaming.garbage import spare_the_collector
from proventrail.telemetry.logs import configure_logging
from proventrail.telemetry.status import Ready, StatusServer

F = TypeVar("F", bound=Callable[..., Any])

_status_port = click.option(
    "--status-port", type=int, default=0, help="Port of /health and /metrics of this stage; 0: any."
)
_member = click.option(
    "--member",
    metavar="NAME",
    help="Name of this worker in its group, unlike any other's: a restart under it has its partitions back at once.",
)
_status_host = click.option(
    "--status-host", default="127.0.0.1", show_default=True, help="Where /health and /metrics listen."
)


def _principals(role: str, may: str) -> Callable[[F], F]:
    return click.option(
        f"--{role}",
        multiple=True,
        metavar="User:NAME",
        help=f"Who may {may}, where the cluster has an authorizer; may be repeated.",
    )


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _status(ready: Ready, host: str, port: int) -> StatusServer:
    try:
        return StatusServer(ready, port, host).start()
    except OSError as error:
        raise CommandError(f"the status port {port} cannot be used: {error.strerror}") from None


def _framed(target: Target, *topics: str) -> tuple[Resolver | None, Framing]:
    """How schema ids are resolved, and how a writer of `topics` frames. Without a registry: not, and single objects.

    A writer settles its ids before it begins, so that the same events give the same bytes for all of its life.
    """
    from proventrail.schemas.topics import SCHEMA_OF_TOPIC

    registry = target.registry()
    if registry is None:
        return None, SINGLE_OBJECT
    return registry.resolve, registry.framing({topic: SCHEMA_OF_TOPIC[topic] for topic in topics})


@click.command()
@click.option(
    "--partitions",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Of each topic; raw and refined ones have equally many.",
)
@click.option(
    "--replication",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Copies of each partition; 3 on a cluster.",
)
@click.option("--retention-bytes", type=click.IntRange(1), default=4 << 30, show_default=True, help="Per partition.")
@_principals("producer", "write raw events")
@_principals("refine", "do what refine does")
@_principals("sink", "do what the sink does")
@_principals("consumer", "read refined events and observations, in groups named NAME-…")
@with_target
def topics(
    target: Target, partitions: int, replication: int, retention_bytes: int, **principals: tuple[str, ...]
) -> None:
    """Create the pipeline's topics, and set the configuration of those that are there."""
    from proventrail.schemas.topics import topic_specs
    from proventrail.streaming.access import allow
    from proventrail.streaming.admin import ensure_topics

    kafka = target.reached_kafka()
    made = ensure_topics(kafka, topic_specs(partitions, replication, retention_bytes))
    allow(kafka, principals)
    click.echo(f"created: {', '.join(made) or 'none, all were there'}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the statements and change nothing.")
@click.option("--status", "show_status", is_flag=True, help="Print which migrations are applied.")
@with_target
def migrate(target: Target, dry_run: bool, show_status: bool) -> None:
    """Bring the tables of a ClickHouse server up to date. (The embedded store does so at its start.)"""
    from proventrail.storage.engine import EMBEDDED_DIALECT
    from proventrail.storage.migrations import migrate as apply
    from proventrail.storage.migrations import status

    store = open_store(target)
    # The embedded store is read-only over HTTP: what is asked for is answered, and what would be changed is refused.
    dialect = _dialect(target) if target.clickhouse_url else EMBEDDED_DIALECT
    if show_status:
        for item in status(store, dialect):
            click.echo(f"{item.number:04d} {item.name}: {item.state}")
        return
    statements = apply(store, dialect, dry_run=dry_run)
    if not statements:
        click.echo("up to date")
    elif dry_run:
        click.echo(";\n\n".join(statements) + ";")
    else:
        click.echo(f"{len(statements)} statements run")


@click.command()
@click.option(
    "--group",
    default="proventrail-refine",
    show_default=True,
    help="Consumer group: workers of one group share the partitions.",
)
@policy_option
@_member
@_status_port
@_status_host
@with_vault
def refine(
    access: VaultAccess, group: str, policy: Path | None, member: str | None, status_port: int, status_host: str
) -> None:
    """Run refine: raw events -> refined events without personal data, dead letters, observations."""
    from proventrail.cli.privacy_step import anonymiser, policy_of, sealing
    from proventrail.schemas.topics import DEADLETTER, OBSERVATIONS, REFINED
    from proventrail.stream_processors.catalog import CatalogFollower
    from proventrail.stream_processors.process import RefineProcess
    from proventrail.stream_processors.refine import Refine

    configure_logging("refine")
    stop = stop_on_signals()
    rules = policy_of(policy)
    kafka = access.target.kafka()
    resolver, framing = _framed(access.target, REFINED, OBSERVATIONS, DEADLETTER)
    with access.open() as vault:
        follower = CatalogFollower(kafka, resolver=resolver).load()
        refined = Refine(
            follower.catalog, anonymiser(rules, vault), protect=sealing(vault), resolver=resolver, framing=framing
        )
        process = RefineProcess(kafka, refined, group=group, member=member, before_batch=follower.poll)
        status = _status(process.ready, status_host, status_port)
        spare_the_collector()
        try:
            process.run(stop)
        finally:
            status.stop()
            follower.close()


@click.command()
@click.option(
    "--group",
    default="proventrail-sink",
    show_default=True,
    help="Consumer group: workers of one group share the partitions.",
)
@_member
@click.option("--clickhouse-port", type=int, default=0, help="Port of the embedded store's endpoint; 0: any.")
@click.option("--clickhouse-host", default="127.0.0.1", show_default=True, help="Where the endpoint listens.")
@_status_port
@_status_host
@with_target
def sink(
    target: Target,
    group: str,
    member: str | None,
    clickhouse_port: int,
    clickhouse_host: str,
    status_port: int,
    status_host: str,
) -> None:
    """Run the sink: refined events and dead letters -> ClickHouse. Without --clickhouse-url, the embedded store."""
    from proventrail.storage.memory import give_back_early

    configure_logging("sink")
    give_back_early()
    stop = stop_on_signals()
    if target.clickhouse_url is None:
        _embedded_sink(target, group, member, clickhouse_host, clickhouse_port, status_host, status_port, stop)
    else:
        _server_sink(target, group, member, status_host, status_port, stop)


def _embedded_sink(
    target: Target,
    group: str,
    member: str | None,
    host: str,
    port: int,
    status_host: str,
    status_port: int,
    stop: threading.Event,
) -> None:
    from proventrail.gateway.auth import ensure_token
    from proventrail.storage.endpoint import Endpoint
    from proventrail.storage.engine import EMBEDDED_DIALECT, Engine
    from proventrail.storage.memory import forget_code
    from proventrail.storage.migrations import migrate as apply
    from proventrail.storage.sink.consumer import Sink
    from proventrail.storage.sink.stage import writers
    from proventrail.storage.store import PerThreadStore

    token, _ = ensure_token(target.data_dir)
    resolver, _ = _framed(target)
    engine = Engine(target.data_dir / "store")
    store = PerThreadStore(engine.store)
    apply(store, EMBEDDED_DIALECT)
    forget_code("_chdb")
    endpoint = Endpoint(engine.connection_string, token, host=host, port=port).start()
    process = Sink(target.kafka(), group, writers(store, EMBEDDED_DIALECT, resolver), member=member)
    status = _status(process.ready, status_host, status_port)
    spare_the_collector()
    try:
        process.run(stop)
    finally:
        status.stop()
        endpoint.stop()
        store.close()
        engine.close()


def _dialect(target: Target) -> Dialect:
    """How a server that was named is spoken to."""
    return Dialect(target.clickhouse_database, target.clickhouse_cluster)


def _server_sink(
    target: Target, group: str, member: str | None, status_host: str, status_port: int, stop: threading.Event
) -> None:
    from proventrail.storage.sink.consumer import Sink
    from proventrail.storage.sink.stage import writers
    from proventrail.storage.store import PerThreadStore, connect

    resolver, _ = _framed(target)
    store = PerThreadStore(lambda: connect(target.clickhouse()))
    process = Sink(target.kafka(), group, writers(store, _dialect(target), resolver), member=member)
    status = _status(process.ready, status_host, status_port)
    spare_the_collector()
    try:
        process.run(stop)
    finally:
        status.stop()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway listens.")
@click.option("--port", type=int, default=5000, show_default=True, help="Of the gateway; 0: any.")
@click.option("--stage", "stages", multiple=True, metavar="NAME=URL", help="A stage's /health; may be repeated.")
@click.option("--strict", is_flag=True, help="Take only events that follow OpenLineage's JSON Schemas.")
@click.option("--max-body-bytes", type=int, default=10 << 20, show_default=True, help="Largest body, inflated.")
@click.option(
    "--tls-certificate", type=click.Path(path_type=Path, exists=True), help="Serve https with this certificate."
)
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True), help="Key of the certificate.")
@with_target
def gateway(
    target: Target,
    host: str,
    port: int,
    stages: tuple[str, ...],
    strict: bool,
    max_body_bytes: int,
    tls_certificate: Path | None,
    tls_key: Path | None,
) -> None:
    """Run the gateway: OpenLineage over HTTP -> raw events."""
    from pydantic import ValidationError

    from proventrail.gateway import GatewaySettings, run_gateway

    configure_logging("gateway")
    try:
        settings = GatewaySettings(
            kafka=target.kafka(),
            schema_registry=target.registry_settings(),
            data_dir=target.data_dir,
            host=host,
            port=port,
            stage_urls=dict(stage.split("=", 1) for stage in stages),
            verdict="strict" if strict else "lenient",
            max_body_bytes=max_body_bytes,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
        )
    except (ValidationError, ValueError) as error:
        first = (
            error.errors(include_input=False, include_url=False)[0]["msg"]
            if isinstance(error, ValidationError)
            else "--stage takes NAME=URL"
        )
        raise CommandError(str(first), 2) from None
    run_gateway(settings)
