"""The benches by name, each run in a process of its own: a process can open one store only, and keeps its memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

from benchmarks import anonymise, baseline, emit, end_to_end, growth, intake, latency, produce, sdk, stages
from benchmarks.report import Options, Row

Bench = Callable[[Options], Iterator[Row]]

BENCHES: dict[str, Bench] = {
    "baseline": baseline.run,
    "sdk": sdk.run,
    "emit": emit.run,
    "produce": produce.run,
    "intake": intake.run,
    "refine": stages.run_refine,
    "anonymise": anonymise.run,
    "sink": stages.run_sink,
    "end-to-end": end_to_end.run,
    "latency": latency.run,
    "growth": growth.run,
}
_SPAWN = multiprocessing.get_context("spawn")


def _work(name: str, options: Options, pipe: Connection) -> None:
    for row in BENCHES[name](options):
        pipe.send(row)
    pipe.send(None)


def measure(name: str, options: Options) -> list[Row]:
    """The rows of one bench. Raises RuntimeError if it fails; it has said why on standard error."""
    here, there = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_work, args=(name, options, there))
    process.start()
    there.close()
    rows: list[Row] = []
    try:
        while (row := here.recv()) is not None:
            rows.append(row)
    except EOFError:
        process.join()
        raise RuntimeError(f"the bench {name} ended with exit code {process.exitcode}") from None
    process.join()
    return rows
