"""`proventrail catalog`: what people know of their data sources, from YAML files to the topic."""

from __future__ import annotations

from pathlib import Path

import click

from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.schemas.avro import SINGLE_OBJECT
from proventrail.schemas.topics import CATALOG
from proventrail.stream_processors.catalog import Catalog, CatalogFollower, differences, read_files, write_changes


def _catalog(target: Target) -> Catalog:
    registry = target.registry()
    follower = CatalogFollower(target.reached_kafka(), resolver=registry.resolve if registry else None).load()
    follower.close()
    return follower.catalog


@click.group()
def catalog() -> None:
    """The catalogue of data sources: apply YAML files, list what is there."""


@catalog.command("apply")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--prune", is_flag=True, help="Remove entries that are in none of the files.")
@with_target
def apply_(target: Target, paths: tuple[Path, ...], dry_run: bool, prune: bool) -> None:
    """Write the entries of YAML files (and of folders of them) to the catalogue."""
    changes = differences(read_files(paths), _catalog(target), prune=prune)
    for (namespace, name), record in sorted(changes.items()):
        click.echo(f"{'set' if record else 'remove'} {namespace} {name}")
    if not dry_run:
        registry = target.registry()
        framing = registry.framing({CATALOG: "catalog_entry"}) if registry else SINGLE_OBJECT
        write_changes(target.kafka(), changes, framing=framing)
    count = f"{len(changes)} change{'' if len(changes) == 1 else 's'}"
    click.echo(f"{count if changes else 'no changes'}{' (dry run: nothing was written)' if dry_run else ''}")


@catalog.command("list")
@format_option
@with_target
def list_(target: Target, fmt: str | None) -> None:
    """List the entries."""
    columns = ["namespace", "name", "kind", "owner", "steward", "classification", "retention_class", "regulations"]
    columns += ["licence", "cadence", "description", "tags"]
    show(columns, [[entry[name] for name in columns] for entry in _catalog(target).entries], fmt)
