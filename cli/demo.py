"""`proventrail demo`: the whole road on real events, ending at something to look at."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from proventrail.cli.ask import open_store
from proventrail.cli.drained import Backlog
from proventrail.cli.errors import CommandError
from proventrail.cli.event_files import Event, events_of, files_of
from proventrail.cli.lineage import lineage_tree
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import render
from proventrail.cli.sending import Sender, batches
from proventrail.cli.stages import stop_on_signals
from proventrail.cli.up import Pipeline
from proventrail.schemas.settings import KafkaSettings
from proventrail.storage.lineage import Lineage
from proventrail.telemetry.logs import configure_logging

_QUESTION = """SELECT job_name, state, dateDiff('millisecond', started_at, ended_at) AS ms, run_id
FROM runs ORDER BY first_event_at, run_id LIMIT 12"""


@click.command()
@click.argument("events", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--serve/--no-serve", default=None, help="Go on serving. Default: on a terminal only.")
@with_target
def demo(target: Target, events: Path | None, serve: bool | None) -> None:
    """Start the pipeline, send it recorded events, and show what is stored and what it knows."""
    from proventrail.embedded.fetch import fetch_with_bar
    from proventrail.gateway import client_configuration, ensure_token

    configure_logging("demo", "WARNING")
    folder = events or Path(__file__).resolve().parent.parent / "examples" / "recorded"
    if not folder.exists():
        raise CommandError(f"there are no example events in {folder}: name a file or folder of OpenLineage events", 2)
    token, _ = ensure_token(target.data_dir)
    fetch_with_bar()
    pipeline = Pipeline(target.data_dir)
    say = Console(highlight=False).print
    started = time.monotonic()
    say("Starting Apache Kafka, refine, the ClickHouse engine and the gateway …")
    with pipeline.supervisor.background():
        say(f"Ready after {time.monotonic() - started:.1f} s.\n")
        _send_and_show(target, pipeline, folder, token)
        if serve if serve is not None else sys.stdin.isatty() and sys.stdout.isatty():
            say(f"\nServing until Ctrl-C.\n\n{client_configuration(pipeline.url, token)}")
            stop_on_signals().wait()


def _send_and_show(target: Target, pipeline: Pipeline, folder: Path, token: str) -> None:
    found = [item for file in files_of((folder,)) for item in events_of(file) if isinstance(item, Event)]
    with closing(Sender(pipeline.url, token)) as sender:
        refused = [item for batch in batches(found) for item in sender.send(batch)]
    say = Console(highlight=False, soft_wrap=True).print
    say(f"Sent {len(found)} recorded OpenLineage events (openlineage-python, dbt) by HTTP; {len(refused)} refused.")
    sent_at = time.monotonic()
    backlog = Backlog(KafkaSettings(bootstrap_servers=pipeline.bootstrap_servers))
    backlog.wait(60)
    backlog.close()
    say(f"All of them went through Kafka and refine and are stored {time.monotonic() - sent_at:.1f} s later.\n")
    _show(target)


def _show(target: Target) -> None:
    store = open_store(target)
    say = Console(highlight=False, soft_wrap=True).print
    tables = ["events", "runs", "lineage_edges", "column_edges", "dataset_versions", "job_versions", "dead_letters"]
    counts = [[table, store.rows(f"SELECT count() FROM proventrail.{table}")[0][0]] for table in tables]
    click.echo(render(["table", "rows"], counts, "table"))
    [top] = store.rows(
        "SELECT target_namespace, target_name FROM proventrail.lineage_edges "
        "GROUP BY ALL ORDER BY count() DESC, target_name LIMIT 1"
    )
    say(f"\nproventrail lineage upstream {top[0]} {top[1]}")
    say(lineage_tree(top, Lineage(store).walk(top[0], top[1], "upstream", 10), "upstream"))
    say(f'\nproventrail sql "{_QUESTION}"')
    result = store.client.query(_QUESTION, settings={"database": "proventrail"})
    click.echo(render(result.column_names, result.result_rows, "table"))
