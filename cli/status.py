"""`proventrail status`: what runs, how far each stage is, what is stored."""

from __future__ import annotations

import click
import httpx

from proventrail.cli.ask import open_store
from proventrail.cli.errors import NO
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show

_COUNTS = {
    "events": "SELECT count() FROM proventrail.events",
    "runs": "SELECT count() FROM proventrail.runs",
    "lineage edges": "SELECT count() FROM proventrail.lineage_edges",
    "dead letters": "SELECT count() FROM proventrail.dead_letters",
    "duplicate deliveries": "SELECT count() FROM proventrail.duplicate_deliveries",
}


@click.command()
@format_option
@with_target
def status(target: Target, fmt: str | None) -> None:
    """Say whether every stage is ready, and what is stored. Exit code 1 if a stage is not ready."""
    rows: list[list[object]] = []
    ready = True
    if target.clickhouse_url is None:
        gateway = target.address("gateway")
        try:
            health = httpx.get(f"http://{gateway}/health", timeout=5).json()
        except (httpx.HTTPError, ValueError) as error:
            health = {"ready": False, "stages": {"gateway": {"ready": False, "detail": type(error).__name__}}}
        ready = bool(health["ready"])
        for name, stage in health["stages"].items():
            rows.append([name, "ready" if stage["ready"] else "not ready", stage.get("detail", "")])
    store = open_store(target)
    rows += [[name, store.rows(query)[0][0], ""] for name, query in _COUNTS.items()]
    show(["what", "value", "detail"], rows, fmt)
    if not ready:
        raise SystemExit(NO)
