"""A decoded OpenLineage event -> the key and value of its Kafka record."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from proventrail.schemas import avro, verdict
from proventrail.schemas.openlineage import from_openlineage, job_key
from proventrail.schemas.topics import MAX_EVENT_BYTES
from proventrail.schemas.verdict import Problem
from proventrail.schemas.wire import CodecError

Verdict = Callable[[Any], list[Problem]]

_MAX_PROBLEMS = 100


class Refused(Exception):
    """An event that can't be taken, now or later. `problems` name places and rules, never values."""

    def __init__(self, problems: list[Problem], *, too_large: bool = False) -> None:
        super().__init__("; ".join(f"{p.path}: {p.reason}" for p in problems[:5]))
        self.problems = problems[:_MAX_PROBLEMS]
        self.too_large = too_large


def verdict_named(name: Literal["lenient", "strict"], spec: Path | None) -> Verdict:
    """The verdict `name`; the strict one by the JSON Schemas below `spec`. Raises verdict.SpecMissing."""
    if name == "lenient":
        return verdict.lenient
    strict = partial(verdict.strict, spec=str(spec) if spec else None)
    # It loads the schemas when it is asked first: better now than at the first request.
    strict({})
    return strict


def to_record(event: Any, judge: Verdict, framing: avro.Framing = avro.SINGLE_OBJECT) -> tuple[bytes, bytes]:
    """Key and value of the record of `event`. Raises Refused."""
    try:
        problems = judge(event)
        if problems:
            raise Refused(problems)
        record = from_openlineage(event)
        value = avro.encode("lineage_event", record, framing)
    except RecursionError:
        raise Refused([Problem("$", "objects and arrays are nested too deeply")]) from None
    except (CodecError, UnicodeError):
        raise Refused([Problem("$", "has a string that is not Unicode text, or a number out of range")]) from None
    if len(value) > MAX_EVENT_BYTES:
        raise Refused([Problem("$", f"takes more than {MAX_EVENT_BYTES} bytes as Avro")], too_large=True)
    return job_key(record), value
