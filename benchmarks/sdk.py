"""The base install: how long it takes to import, and how much it puts on the disk. Installed anew from this tree."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Options, Row
from benchmarks.workloads import REPOSITORY

_IMPORT = "import time; t = time.perf_counter(); import proventrail.producers; print(time.perf_counter() - t)"


def run(options: Options) -> Iterator[Row]:
    """Milliseconds of the import; megabytes of everything that is installed, without confluent-kafka."""
    target = options.scratch / "sdk"
    constraints = str(REPOSITORY / "constraints.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, "-c", constraints, str(REPOSITORY)], check=True, capture_output=True)
    python = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(target)!r}); {_IMPORT}"]
    subprocess.run(python, check=True, capture_output=True)
    took = [float(subprocess.run(python, check=True, capture_output=True, text=True).stdout) for _ in range(7)]
    yield Row("sdk", "import, files in the page cache", "ms", (statistics.median(took) * 1e3,), goal="≤ 300")
    sizes = {entry.name: _bytes(entry) for entry in target.iterdir()}
    own = sum(size for name, size in sizes.items() if not name.startswith("confluent_kafka")) / 1e6
    largest = sorted(sizes, key=lambda name: -sizes[name])[:5]
    note = ", ".join(f"{name} {sizes[name] / 1e6:.1f}" for name in largest)
    yield Row("sdk", "installed, without confluent-kafka", "MB", (own,), goal="≤ 40", note=note)


def _bytes(path: Path) -> int:
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )
