"""`proventrail status`: what runs, how far each stage is, what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import click
import httpx
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from proventrail.cli.ask import open_store
from proventrail.cli.drained import GROUPS, Backlog
from proventrail.cli.errors import NO, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.embedded.run_file import running_instance
from proventrail.storage.errors import describe
from proventrail.streaming.admin import KafkaUnreachable

_ANSWER_SECONDS = 5
_TABLES = {
    "events": "events",
    "runs": "runs",
    "lineage edges": "lineage_edges",
    "dead letters": "dead_letters",
    "duplicate deliveries": "duplicate_deliveries",
}


@dataclass(frozen=True)
class _Line:
    what: str
    value: str | int
    detail: str = ""
    ready: bool = True


def _processes(target: Target) -> Iterator[_Line]:
    """The processes of `proventrail up`, by its supervisor; one that runs, also by what it says of itself."""
    told = _health(target)
    instance = running_instance(target.data_dir)
    for name, child in (instance.children if instance else {}).items():
        state, details = str(child["state"]), [f"pid {child['pid']}"]
        ready = state == "ready"
        if child["restarts"]:
            details.append(f"started again {child['restarts']} times, the last one ended by: {child['last_exit']}")
        if not ready:
            details = [child["last_exit"], f"see {child['log']}"] if child["last_exit"] else []
        elif name in told:
            ready = told[name][0]
            details.append(told[name][1])
        yield _Line(name, "ready" if ready else state.replace("ready", "not ready"), "; ".join(details), ready)


def _health(target: Target) -> dict[str, tuple[bool, str]]:
    """What the gateway knows: stage -> whether it is ready, and why (not)."""
    try:
        answer = httpx.get(f"http://{target.address('gateway')}/health", timeout=5).json()
        return {name: (bool(stage["ready"]), str(stage["detail"])) for name, stage in answer["stages"].items()}
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return {"gateway": (False, f"does not answer ({type(error).__name__})")}


def _waiting(target: Target) -> Iterator[_Line]:
    """How many records each stage has yet to work off."""
    try:
        with closing(Backlog(target.reached_kafka())) as backlog:
            for group, topics in GROUPS:
                stage = group.removeprefix("proventrail-")
                yield _Line(f"waiting for {stage}", backlog.of(group, topics), f"records of {' and '.join(topics)}")
    except KafkaUnreachable as error:
        yield _Line("Kafka", "not ready", str(error), ready=False)
    except KafkaException as error:
        yield _Line("Kafka", "not ready", error.args[0].str(), ready=False)


def _stored(target: Target) -> Iterator[_Line]:
    try:
        store = open_store(target, _ANSWER_SECONDS)
        lines = [_Line(what, store.rows(f"SELECT count() FROM proventrail.{t}")[0][0]) for what, t in _TABLES.items()]
    except CommandError as error:
        lines = [_Line("store", "not ready", error.message, ready=False)]
    except ClickHouseError as error:
        lines = [_Line("store", "not ready", describe(error), ready=False)]
    yield from lines


@click.command()
@format_option
@with_target
def status(target: Target, fmt: str | None) -> None:
    """Say whether every stage is ready, what waits, and what is stored.

    Exit code 1 if something is not ready, 3 if nothing runs.
    """
    lines: list[_Line] = []
    if target.bootstrap_servers is None or target.clickhouse_url is None:
        target.address("gateway")
        lines += _processes(target)
    lines += _waiting(target)
    lines += _stored(target)
    show(["what", "value", "detail"], [[line.what, line.value, line.detail] for line in lines], fmt)
    if not all(line.ready for line in lines):
        raise SystemExit(NO)
