"""`proventrail ingest`: files of OpenLineage events -> the gateway, in batches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from proventrail.cli.drained import Backlog
from proventrail.cli.errors import NO, USAGE, CommandError
from proventrail.cli.event_files import STDIN, Event, Unreadable, events_of, files_of
from proventrail.cli.options import Target, with_target
from proventrail.cli.sending import Sender, batches

_WAIT_SECONDS = 300.0


@dataclass
class _Tally:
    """What became of the events so far."""

    taken: int = 0
    refused: int = 0
    unreadable: int = 0
    stopped_at: Unreadable | None = None


def _bar() -> Progress:
    """On a terminal only, on stderr: standard output may be read by a program."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _readable(files: list[Path], bar: Progress, tally: _Tally, *, skip: bool) -> Iterator[Event]:
    """The events, up to the first place that is not JSON, or with `skip` without such places."""
    for file in bar.track(files, description="sending"):
        for found in events_of(file):
            if isinstance(found, Event):
                yield found
            elif skip:
                tally.unreadable += 1
                click.echo(f"skipped {found.place}: {found.reason}", err=True)
            else:
                tally.stopped_at = found
                return


def _send_all(sender: Sender, events: Iterator[Event], tally: _Tally) -> None:
    for batch in batches(events):
        refused = sender.send(batch)
        tally.taken += len(batch) - len(refused)
        tally.refused += len(refused)
        for place, reason in refused:
            click.echo(f"refused {place}: {reason}", err=True)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@click.option("--continue", "skip", is_flag=True, help="Go on after files and lines that are not JSON.")
@click.option("--wait", is_flag=True, help="Return when the events are stored and can be asked for.")
@click.option("--url", help="Of the gateway. Default: that of the running instance.")
@click.option("--token", envvar="PROVENTRAIL_TOKEN", help="Default: that of the data directory.")
@with_target
def ingest(target: Target, paths: tuple[Path, ...], skip: bool, wait: bool, url: str | None, token: str | None) -> None:
    """Send OpenLineage events from files and folders, or with `-` from standard input.

    A file holds one event, an array of events, or one event a line; it may be packed with gzip. In folders, files named
    *.json, *.jsonl, *.ndjson (and .gz) are taken. Sending a file again is harmless: its events are stored once.

    Exit code 1 if events were refused or skipped, 2 at a place that is not JSON (what stands before it was sent).
    """
    from proventrail.gateway.auth import read_token

    url = url or f"http://{target.address('gateway')}"
    files = files_of(paths)
    if not files:
        raise CommandError(f"no *.json, *.jsonl or *.ndjson (.gz) in {', '.join(map(str, paths))}", USAGE)
    tally = _Tally()
    with closing(Sender(url, token or read_token(target.data_dir))) as sender, _bar() as bar:
        _send_all(sender, _readable(files, bar, tally, skip=skip), tally)
    if tally.stopped_at is not None:
        where, reason = tally.stopped_at.place, tally.stopped_at.reason
        raise CommandError(f"{where}: {reason}; the {tally.taken} events before it were taken", USAGE)
    if wait:
        with closing(Backlog(target.kafka())) as backlog:
            backlog.wait(_WAIT_SECONDS)
    skipped = f", {tally.unreadable} places skipped" if tally.unreadable else ""
    source = "standard input" if files == [STDIN] else f"{len(files)} file{'s' if len(files) > 1 else ''}"
    click.echo(f"{tally.taken} events taken, {tally.refused} refused{skipped}, from {source}")
    if tally.refused or tally.unreadable:
        raise SystemExit(NO)
