"""How fast text in which nothing is to be found is looked through."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from benchmarks.privacy.clean import FILLERS

LINES = (
    "{ts} INFO [{job}] run={uuid} wrote {count} rows to "
    "s3://lake/{table}/dt={date}/part-00000-{uuid}.parquet in {decimal} s",
    "{ts} WARN org.apache.spark.scheduler.TaskSetManager: Lost task 12.0 in stage 3.0 (TID {count}) "
    "(worker-1 executor 4)",
    "SELECT o.id, sum(o.amount) FROM {table} o JOIN {table} c ON o.cid = c.id WHERE o.dt >= '{date}' "
    "GROUP BY 1 -- {job}",
    "\tat org.apache.spark.sql.FileFormatWriter$.write(FileFormatWriter.scala:{line})\n\tat "
    "java.lang.Thread.run(Thread.java:{line})",
    "Backfill of {table} for {date}: {job} was started by the scheduler after the upstream run {uuid} had finished.",
    "commit {sha} builds image registry.acme.io/etl/{job}@sha256:{sha} version 3.5.{line}",
)


def free_text(count: int = 20_000) -> list[str]:
    """Log lines, queries and stack traces in which nothing is to be found."""
    random = Random(1)
    return [random.choice(LINES).format(**{name: make(random) for name, make in FILLERS.items()}) for _ in range(count)]


def speed(run: Callable[[list[str]], object], texts: list[str]) -> float:
    """MB/s of one core, by the processor time that it took."""
    start = time.process_time()
    run(texts)
    return sum(map(len, texts)) / (time.process_time() - start) / 1e6
