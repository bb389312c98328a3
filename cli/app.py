"""All commands, and how their errors are shown."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaError, KafkaException

from proventrail import __version__
from proventrail.cli.ask import runs, sql
from proventrail.cli.catalog import catalog
from proventrail.cli.dead_letters import dead_letters
from proventrail.cli.demo import demo
from proventrail.cli.errors import CLOSED_PIPE, INTERRUPTED, UNAVAILABLE, USAGE
from proventrail.cli.ingest import ingest
from proventrail.cli.lineage import lineage
from proventrail.cli.privacy import privacy
from proventrail.cli.schemas import schemas
from proventrail.cli.stages import gateway, migrate, refine, sink, topics
from proventrail.cli.status import status
from proventrail.cli.up import up
from proventrail.cli.verify import verify_delivery
from proventrail.embedded.errors import EmbeddedError
from proventrail.gateway.auth import TokenError
from proventrail.gateway.server import GatewayError
from proventrail.privacy.errors import PolicyError
from proventrail.privacy.vault import SealError, VaultError
from proventrail.schemas.registry import RegistryError
from proventrail.schemas.wire import CodecError
from proventrail.storage.engine import EngineError
from proventrail.storage.errors import describe
from proventrail.storage.migrations import MigrationError
from proventrail.storage.sink.progress import ProgressError
from proventrail.storage.sink.writer import SinkError
from proventrail.stream_processors.catalog import CatalogError
from proventrail.stream_processors.errors import RefineError
from proventrail.streaming.admin import KafkaUnreachable, TopicError

_PLAIN = (
    EmbeddedError,
    CodecError,
    EngineError,
    GatewayError,
    KafkaUnreachable,
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


class _Root(click.Group):
    """The root; what reads our output may go away before its end (`| head`), which is no error of ours."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is buffered still has nowhere to go when the interpreter flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(CLOSED_PIPE) from None


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
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


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; errors that a user can act on are one line, others a traceback."""
    try:
        code = cli.main(arguments, prog_name="proventrail", standalone_mode=False)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        _fail(_one_line(error), error.exit_code)
    except (CatalogError, PolicyError) as error:
        _fail(str(error), USAGE)
    except _PLAIN as error:
        _fail(str(error))
    except ClickHouseError as error:
        _fail(describe(error))
    except KafkaException as error:
        _fail(f"Kafka: {error.args[0].str() if isinstance(error.args[0], KafkaError) else error.args[0]}")
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or type(error).__name__}")
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text = f"{text.rstrip('.')}: see `{error.ctx.command_path} --help`"
    return text


def _fail(message: str, exit_code: int = UNAVAILABLE) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(exit_code)
