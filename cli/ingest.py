"""`proventrail ingest`: files of OpenLineage events -> the gateway, in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
from rich.progress import Progress

from proventrail.cli.errors import NO, CommandError
from proventrail.cli.options import Target, with_target

_BATCH_BYTES = 2 << 20


def files_of(paths: tuple[Path, ...]) -> list[Path]:
    """The files named, and all *.json, *.jsonl and *.ndjson below the folders named."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for kind in ("json", "jsonl", "ndjson") for file in path.rglob(f"*.{kind}"))
        else:
            found.append(path)
    return found


def events_of(path: Path) -> Iterator[tuple[str, Any]]:
    """(place, event) of a file: one event, an array of events, or one event a line.

    A recorded HTTP request counts as its body. Raises CommandError with file and line if it is no JSON.
    """
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if content is None:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield f"{path}:{number}", json.loads(line)
                except ValueError:
                    raise CommandError(f"{path}:{number}: not JSON", 2) from None
        return
    for index, event in enumerate(content if isinstance(content, list) else [content]):
        place = f"{path}[{index}]" if isinstance(content, list) else str(path)
        is_request = isinstance(event, dict) and {"method", "headers", "body"} <= event.keys()
        yield place, event["body"] if is_request else event


def batches(events: Iterator[tuple[str, Any]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    size = 0
    for place, event in events:
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        if batch and size + len(text) > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((place, text))
        size += len(text)
    if batch:
        yield batch


def send(client: httpx.Client, batch: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Send a batch; (place, reason) of each event that was refused. Waits while the gateway is busy."""
    body = "[" + ",".join(text for _, text in batch) + "]"
    answer = client.post("/api/v1/lineage/batch", content=body.encode("utf-8", "surrogatepass"))
    if answer.status_code == 204:
        return []
    if answer.status_code == 200:
        return [(batch[item["index"]][0], item["reason"]) for item in answer.json()["failed_events"]]
    raise CommandError(f"the gateway answered {answer.status_code}: {answer.text[:200]}")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--url", help="Of the gateway. Default: that of the running instance.")
@click.option("--token", envvar="PROVENTRAIL_TOKEN", help="Default: that of the data directory.")
@with_target
def ingest(target: Target, paths: tuple[Path, ...], url: str | None, token: str | None) -> None:
    """Send OpenLineage events from files and folders (JSON, arrays, or one event a line)."""
    from proventrail.gateway.auth import read_token

    url = url or f"http://{target.address('gateway')}"
    token = token or read_token(target.data_dir)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    files = files_of(paths)
    sent, refused = 0, []
    transport = httpx.HTTPTransport(retries=3)
    with (
        httpx.Client(base_url=url, headers=headers, timeout=60, transport=transport) as client,
        Progress(transient=True) as progress,
    ):
        events = (item for file in progress.track(files, description="sending") for item in events_of(file))
        for batch in batches(events):
            try:
                refused += send(client, batch)
            except httpx.HTTPError as error:
                raise CommandError(f"the gateway at {url} cannot be reached ({type(error).__name__})") from None
            sent += len(batch)
    for place, reason in refused:
        click.echo(f"refused {place}: {reason}", err=True)
    click.echo(f"{sent - len(refused)} events taken, {len(refused)} refused, from {len(files)} files")
    if refused:
        raise SystemExit(NO)
