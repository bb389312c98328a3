"""`proventrail schemas`: the Avro schemas, whether they may follow their older versions, and the schema registry."""

from __future__ import annotations

import json

import click

from proventrail.cli.errors import NO, USAGE, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.schemas import avro
from proventrail.schemas.registry import COMPATIBILITY, RegistryError, RegistryUnavailable, SchemaRegistry, subject_of
from proventrail.schemas.topics import SCHEMA_OF_TOPIC


@click.group()
def schemas() -> None:
    """The Avro schemas of the topics: list, check, and register them at a schema registry."""


def _id_of(registry: SchemaRegistry | None, topic: str, name: str) -> int | str:
    if registry is None:
        return ""
    try:
        return registry.id_of(topic, name)
    except RegistryUnavailable:
        raise
    except RegistryError:
        return "not registered"


@schemas.command("list")
@format_option
@with_target
def list_(target: Target, fmt: str | None) -> None:
    """List the schemas, and their ids where a registry is named."""
    registry = target.registry()
    rows = [
        [subject_of(topic), name, len(avro.history(name)), avro.fingerprint(name).hex(), _id_of(registry, topic, name)]
        for topic, name in SCHEMA_OF_TOPIC.items()
    ]
    show(["subject", "schema", "versions", "fingerprint", "id"], rows, fmt)


@schemas.command()
@with_target
def check(target: Target) -> None:
    """Check that each schema reads whole what its older versions wrote, and that a registry, if named, takes it.

    Exit code 1 if one does not.
    """
    from proventrail.schemas.evolution import breaks

    registry = target.registry()
    bad = 0
    for topic, name in SCHEMA_OF_TOPIC.items():
        versions = avro.history(name)
        found = breaks(versions)
        if json.loads(versions[-1]) != json.loads(avro.schema_json(name)):
            found.append("the newest version in its history is not the schema")
        if registry is not None and not registry.accepts(topic, avro.schema_json(name)):
            found.append(f"the registry does not take it after the versions of {subject_of(topic)}")
        bad += bool(found)
        for problem in found:
            click.echo(f"{name}: {problem}", err=True)
    click.echo(f"{len(SCHEMA_OF_TOPIC) - bad} of {len(SCHEMA_OF_TOPIC)} schemas are {COMPATIBILITY}")
    if bad:
        raise SystemExit(NO)


@schemas.command()
@with_target
def register(target: Target) -> None:
    """Register every version of each schema, its subject kept BACKWARD_TRANSITIVE. Repeating it changes nothing."""
    registry = target.registry()
    if registry is None:
        raise CommandError("name the schema registry: --schema-registry-url or PROVENTRAIL_SCHEMA_REGISTRY_URL", USAGE)
    for topic, name in SCHEMA_OF_TOPIC.items():
        click.echo(f"{subject_of(topic)}: {name} has the id {registry.register(topic, name)}")
