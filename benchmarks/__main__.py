"""`make bench`, `python -m benchmarks`: run the benchmarks and print one table.

Each figure is a median of several runs; beside the time on the clock stands the CPU time for each event, which says
something even while other programs share the machine. Every bench runs in a process of its own, in a folder that is
removed afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.benches import BENCHES, measure
from benchmarks.processes import fixed_loop_ms, machine
from benchmarks.report import Options, Row, as_json, markdown, table, with_ratios


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Proventrail on this machine.")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=BENCHES, help=f"some of: {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="fewer events and runs: minutes instead of some ten")
    parser.add_argument(
        "--events", type=int, metavar="N", help="one run of N events in each bench, to see that it works"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/performance.md has it")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write profiles of refine and sink to DIR")
    asked = parser.parse_args(arguments)
    rows: list[Row] = []
    failed: list[str] = []
    for name in asked.only or BENCHES:
        started = time.monotonic()
        loop = fixed_loop_ms()
        with tempfile.TemporaryDirectory(prefix="proventrail-bench-") as folder:
            options = Options(Path(folder), asked.quick, asked.events, asked.profile)
            try:
                rows += measure(name, options)
            except RuntimeError as error:
                failed.append(name)
                print(error, file=sys.stderr)
        took = time.monotonic() - started
        print(f"{name}: {took:.0f} s (a fixed loop took {loop:.1f} ms of CPU time before it)", file=sys.stderr)
    rows = with_ratios(rows)
    print(markdown(rows) if asked.markdown else f"{table(rows)}\n\nMeasured {machine()}.")
    if asked.json:
        asked.json.write_text(as_json(rows) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
