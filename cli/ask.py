"""Questions to the store: SQL, lineage, runs, status."""

from __future__ import annotations

import sys

import click
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.tree import Tree

from proventrail.cli.errors import NO, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.storage.lineage import Edge, Lineage
from proventrail.storage.store import ClientStore, connect


def open_store(target: Target) -> ClientStore:
    """The store of a target. Raises CommandError if it does not answer."""
    settings = target.clickhouse()
    try:
        return connect(settings)
    except (ClickHouseError, OSError) as error:
        raise CommandError(f"the store at {settings.url} cannot be reached: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


@click.command()
@click.argument("query")
@format_option
@with_target
def sql(target: Target, query: str, fmt: str | None) -> None:
    """Run an SQL query on the audit log; `-` reads it from standard input."""
    text = sys.stdin.read() if query == "-" else query
    store = open_store(target)
    try:
        result = store.client.query(text.strip().rstrip(";"), settings={"database": "proventrail"})
    except ClickHouseError as error:
        raise CommandError(_first_line(error), 2) from None
    show(result.column_names, result.result_rows, fmt)


def _like(pattern: str) -> str:
    """A pattern with * and ? as one of LIKE."""
    return "".join({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}.get(char, char) for char in pattern)


@click.command()
@click.option("--job", help="Name of the job; may hold the wildcards * and ?.")
@click.option("--state", help="RUNNING, COMPLETE, FAIL, ABORT or UNKNOWN.")
@click.option("--limit", type=int, default=20, show_default=True)
@format_option
@with_target
def runs(target: Target, job: str | None, state: str | None, limit: int, fmt: str | None) -> None:
    """List runs, the newest first."""
    columns = ["job_namespace", "job_name", "run_id", "state", "started_at", "ended_at"]
    conditions, parameters = ["1"], {"limit": str(limit)}
    if job:
        conditions.append("job_name LIKE {job:String}")
        parameters["job"] = _like(job)
    if state:
        conditions.append("state = {state:String}")
        parameters["state"] = state.upper()
    found = open_store(target).rows(
        f"SELECT {', '.join(columns)} FROM proventrail.runs WHERE {' AND '.join(conditions)} "
        "ORDER BY first_event_at DESC, run_id LIMIT {limit:UInt32}",
        parameters,
    )
    show(columns, found, fmt)


@click.group()
def lineage() -> None:
    """Where a dataset comes from, and where it goes."""


def _lineage(target: Target, namespace: str, name: str, depth: int, fmt: str | None, direction: str) -> None:
    found = Lineage(open_store(target)).walk(namespace, name, direction, depth)
    if fmt or not found:
        columns = ["depth", "source_namespace", "source_name", "target_namespace", "target_name", "job_namespace"]
        columns += ["job_name", "first_seen", "last_seen"]
        if not found:
            raise CommandError(f"no lineage {direction} of that dataset is known", NO)
        show(columns, [edge.row() for edge in found], fmt)
        return
    Console(highlight=False, soft_wrap=True).print(lineage_tree(namespace, name, found, direction))


def lineage_tree(namespace: str, name: str, edges: list[Edge], direction: str) -> Tree:
    """Each dataset with its neighbours below it; one that was shown already is only named."""
    following: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        following.setdefault(edge.near(direction), []).append(edge)
    root = Tree(f"[bold]{namespace} {name}[/bold]")
    shown: set[tuple[str, str]] = set()
    waiting = [(root, Lineage.normal(namespace, name))]
    while waiting:
        node, dataset = waiting.pop(0)
        if dataset in shown:
            continue
        shown.add(dataset)
        for edge in following.get(dataset, []):
            far = edge.far(direction)
            again = " [dim](see above)[/dim]" if far in shown else ""
            arrow = "←" if direction == "upstream" else "→"
            child = node.add(f"{arrow} {far[0]} {far[1]}  [dim]{edge.job_namespace}/{edge.job_name}[/dim]{again}")
            waiting.append((child, far))
    return root


def _direction(direction: str, text: str) -> click.Command:
    @click.command(direction, help=text)
    @click.argument("namespace")
    @click.argument("name")
    @click.option("--depth", type=click.IntRange(1, 1000), default=10, show_default=True)
    @format_option
    @with_target
    def command(target: Target, namespace: str, name: str, depth: int, fmt: str | None) -> None:
        _lineage(target, namespace, name, depth, fmt, direction)

    return command


lineage.add_command(_direction("upstream", "Datasets that the dataset was made from, as a tree."))
lineage.add_command(_direction("downstream", "Datasets that were made from the dataset, as a tree."))
