"""Questions to the store: SQL, lineage, runs."""

from __future__ import annotations

import logging
import re
import sys
from typing import BinaryIO

import click
from clickhouse_connect.driver.exceptions import ClickHouseError

from proventrail.cli.errors import USAGE, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.storage.errors import describe, error_code
from proventrail.storage.store import ClientStore, connect

_AUTHENTICATION = (193, 194, 516)
"""ClickHouse's WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED."""
_STATES = ("RUNNING", "COMPLETE", "FAIL", "ABORT", "UNKNOWN")


def open_store(target: Target, answer_seconds: int = 300) -> ClientStore:
    """The store of a target. Raises CommandError if it is silent for so long, or refuses the password."""
    settings = target.clickhouse()
    # It logs what it raises too.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    try:
        return connect(settings, answer_seconds)
    except (ClickHouseError, OSError) as error:
        if error_code(error) in _AUTHENTICATION:
            reason = f"the user {settings.username} or the password is refused"
        elif error_code(error) is not None:
            reason = describe(error)
        else:
            reason = f"no answer ({_cause(error)})"
        raise CommandError(f"the store at {settings.url} cannot be used: {reason}") from None


def _cause(error: BaseException) -> str:
    """What the system or the TLS library said, out of the text of a chain of exceptions."""
    found = re.search(r"\[Errno -?\d+\] ([\w ]+)|(certificate verify failed[\w :-]*)", str(error))
    return next(filter(None, found.groups())) if found else type(error).__name__


_FORMAT = re.compile(r"\bFORMAT\s+\w+\s*$", re.IGNORECASE)
_EXCEPTION = re.compile(r"DB::Exception: (?P<text>.*?)(?: \(for url [^)]*\))?$", re.DOTALL)


@click.command()
@click.argument("query")
@format_option
@with_target
def sql(target: Target, query: str, fmt: str | None) -> None:
    """Run an SQL query on the audit log; `-` reads it from standard input.

    A query that ends in FORMAT … (Parquet, JSONEachRow, …) has ClickHouse write its answer, as it is.
    """
    text = (sys.stdin.read() if query == "-" else query).strip().rstrip(";").rstrip()
    if not text:
        raise CommandError("there is no query", USAGE)
    if _FORMAT.search(text) and fmt:
        raise CommandError("the query has a FORMAT already: leave out that or --format", USAGE)
    store = open_store(target)
    settings = {"database": "proventrail"}
    try:
        if _FORMAT.search(text):
            _copy(store.client.raw_stream(text, settings=settings))
            return
        result = store.client.query(text, settings=settings)
    except ClickHouseError as error:
        raise _query_error(error) from None
    show(result.column_names, result.result_rows, fmt)


def _copy(stream: BinaryIO) -> None:
    output = click.get_binary_stream("stdout")
    while part := stream.read(1 << 20):
        output.write(part)
    output.flush()


def _query_error(error: ClickHouseError) -> CommandError:
    """What ClickHouse says of the query, whose author asks; one line."""
    code = error_code(error)
    if code is None:
        return CommandError(f"the store does not answer ({_cause(error)})")
    found = _EXCEPTION.search(str(error))
    text = " ".join((found["text"] if found else str(error)).split())
    return CommandError(f"ClickHouse error {code}: {text[:500]}", USAGE)


def _like(pattern: str) -> str:
    """A pattern with * and ? as one of LIKE."""
    return "".join({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}.get(char, char) for char in pattern)


@click.command()
@click.option("--job", help="Name of the job; may hold the wildcards * and ?.")
@click.option("--namespace", help="Namespace of the job; may hold the wildcards * and ?.")
@click.option("--state", type=click.Choice(_STATES, case_sensitive=False), help="Of the run.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows at most.")
@format_option
@with_target
def runs(
    target: Target, job: str | None, namespace: str | None, state: str | None, limit: int, fmt: str | None
) -> None:
    """List runs, the newest first."""
    columns = ["job_namespace", "job_name", "run_id", "state", "started_at", "ended_at"]
    conditions, parameters = ["1"], {"limit": str(limit)}
    for column, pattern in (("job_name", job), ("job_namespace", namespace)):
        if pattern:
            conditions.append(f"{column} LIKE {{{column}:String}}")
            parameters[column] = _like(pattern)
    if state:
        conditions.append("state = {state:String}")
        parameters["state"] = state.upper()
    found = open_store(target).rows(
        f"SELECT {', '.join(columns)} FROM proventrail.runs WHERE {' AND '.join(conditions)} "
        "ORDER BY first_event_at DESC, run_id LIMIT {limit:UInt32}",
        parameters,
    )
    show(columns, found, fmt)
