"""`python -m proventrail.embedded.fetch`: have Apache Kafka ready before the first start. `make env` runs it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from proventrail.embedded.errors import BrokerError
from proventrail.embedded.kafka_jars import fetch_kafka, jars_dir, resolve_lock
from proventrail.embedded.kafka_version import KAFKA_VERSION


def fetch_with_bar(console: Console | None = None) -> list[Path]:
    """`fetch_kafka` with a progress bar on `console` (default: stderr), which shows only if there is work to do."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=console or Console(stderr=True))
    task = bar.add_task(f"Fetching Apache Kafka {KAFKA_VERSION} (45 MB, once)", start=False)

    def progress(done: int, of: int) -> None:
        if done == 0:
            bar.start()
            bar.start_task(task)
        bar.update(task, completed=done, total=of)

    try:
        return fetch_kafka(progress)
    finally:
        # Stopping a bar that was not started writes an empty line.
        if bar.live.is_started:
            bar.stop()


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the jars are there and verified, 1 with one line on stderr when not."""
    parser = argparse.ArgumentParser(prog="python -m proventrail.embedded.fetch", description=__doc__)
    parser.add_argument("--relock", type=Path, metavar="FILE", help="write a new kafka.lock to FILE instead")
    options = parser.parse_args(arguments)
    try:
        if options.relock:
            options.relock.write_text(resolve_lock())
        else:
            jars = fetch_with_bar()
            print(f"Apache Kafka {KAFKA_VERSION}: {len(jars)} jars verified in {jars_dir()}")
    except BrokerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
