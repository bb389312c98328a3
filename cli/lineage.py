"""`proventrail lineage`: where a dataset comes from, and where it goes."""

from __future__ import annotations

from collections import deque

import click
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from proventrail.cli.ask import open_store
from proventrail.cli.errors import NO, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import FORMATS, printable, show
from proventrail.storage.lineage import Dataset, Edge, Lineage

_COLUMNS = [
    *("depth", "source_namespace", "source_name", "target_namespace", "target_name"),
    *("job_namespace", "job_name", "first_seen", "last_seen"),
]
_ARROWS = {"upstream": "←", "downstream": "→"}


@click.group()
def lineage() -> None:
    """Where a dataset comes from, and where it goes."""


def _lineage(target: Target, namespace: str, name: str, depth: int, fmt: str | None, direction: str) -> None:
    graph = Lineage(open_store(target))
    dataset = graph.normal(namespace, name)
    found = graph.walk(*dataset, direction, depth)
    if not found and not graph.knows(*dataset):
        raise CommandError(f"no event names the dataset {' '.join(dataset)}", NO)
    if fmt:
        show(_COLUMNS, [edge.row() for edge in found], fmt)
        return
    Console(highlight=False, soft_wrap=True).print(lineage_tree(dataset, found, direction))
    if not found:
        click.echo(f"nothing is known {direction} of it", err=True)


def _name(dataset: Dataset) -> str:
    return escape(printable(" ".join(dataset)))


def lineage_tree(dataset: Dataset, edges: list[Edge], direction: str) -> Tree:
    """Each dataset with its neighbours below it; one whose neighbours stand elsewhere in the tree is only named."""
    following: dict[Dataset, list[Edge]] = {}
    for edge in edges:
        following.setdefault(edge.near(direction), []).append(edge)
    root = Tree(f"[bold]{_name(dataset)}[/bold]")
    unfolded = {dataset}
    waiting = deque([(root, dataset)])
    while waiting:
        node, near = waiting.popleft()
        for edge in following.get(near, []):
            far = edge.far(direction)
            again = " [dim](see above)[/dim]" if far in unfolded and far in following else ""
            job = escape(printable(f"{edge.job_namespace}/{edge.job_name}"))
            child = node.add(f"{_ARROWS[direction]} {_name(far)}  [dim]{job}[/dim]{again}")
            if far not in unfolded:
                unfolded.add(far)
                waiting.append((child, far))
    return root


def _direction(direction: str, text: str) -> click.Command:
    @click.command(direction, help=text)
    @click.argument("namespace")
    @click.argument("name")
    @click.option("--depth", type=click.IntRange(1, 1000), default=10, show_default=True, help="Steps at most.")
    @click.option("--format", "fmt", type=click.Choice(FORMATS), help="One row per edge. Default: a tree.")
    @with_target
    def command(target: Target, namespace: str, name: str, depth: int, fmt: str | None) -> None:
        _lineage(target, namespace, name, depth, fmt, direction)

    return command


lineage.add_command(
    _direction("upstream", "Datasets that the dataset was made from. Exit code 1 if no event names the dataset.")
)
lineage.add_command(
    _direction("downstream", "Datasets that were made from the dataset. Exit code 1 if no event names the dataset.")
)
