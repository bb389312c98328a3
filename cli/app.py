"""All commands, and how their errors are shown."""

from __future__ import annotations

import sys

import click
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from proventrail import __version__
from proventrail.cli.ask import lineage, runs, sql
from proventrail.cli.catalog import catalog
from proventrail.cli.dead_letters import dead_letters
from proventrail.cli.demo import demo
from proventrail.cli.errors import UNAVAILABLE
from proventrail.cli.ingest import ingest
from proventrail.cli.privacy import privacy
from proventrail.cli.schemas import schemas
from proventrail.cli.stages import gateway, migrate, refine, sink, topics
from proventrail.cli.status import status
from proventrail.cli.up import up
from proventrail.cli.verify import verify_delivery
from proventrail.embedded.errors import EmbeddedError
from proventrail.gateway.auth import TokenError
from proventrail.gateway.server import GatewayError
from proventrail.privacy.vault import SealError, VaultError
from proventrail.schemas.registry import RegistryError
from proventrail.storage.engine import EngineError
from proventrail.storage.errors import describe
from proventrail.storage.migrations import MigrationError
from proventrail.storage.sink.progress import ProgressError
from proventrail.storage.sink.writer import SinkError
from proventrail.stream_processors.catalog import CatalogError
from proventrail.stream_processors.process import RefineError
from proventrail.streaming.admin import TopicError

_PLAIN = (
    EmbeddedError,
    CatalogError,
    EngineError,
    GatewayError,
    MigrationError,
    ProgressError,
    RefineError,
    RegistryError,
    SealError,
    SinkError,
    TokenError,
    TopicError,
    TimeoutError,
    VaultError,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="proventrail")
def cli() -> None:
    """Records where data and models came from, and proves the record."""


for _command in (
    up,
    demo,
    ingest,
    sql,
    status,
    lineage,
    runs,
    dead_letters,
    catalog,
    verify_delivery,
    privacy,
    topics,
    schemas,
    migrate,
    refine,
    sink,
    gateway,
):
    cli.add_command(_command)


def run() -> None:
    """Run the command line; errors that a user can act on are one line, others a traceback."""
    try:
        cli()
    except _PLAIN as error:
        _fail(str(error))
    except ClickHouseError as error:
        _fail(describe(error))
    except KafkaException as error:
        cause = error.args[0]
        _fail(f"Kafka: {cause.name() if hasattr(cause, 'name') else cause}")


def _fail(message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(UNAVAILABLE)
