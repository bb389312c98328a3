"""A child's log is bounded while the child writes on."""

from __future__ import annotations

import sys
from pathlib import Path

from proventrail.embedded.bounded_log import BoundedLog
from proventrail.embedded.process import spawn, stop


def test_the_file_is_emptied_and_its_end_kept(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "logs" / "a.log", limit=100)
    with log.open() as output:
        output.write(b"x" * 500 + b"end")
        output.flush()
        log.bound()
        output.write(b"new")
    assert log.path.read_bytes() == b"new"
    kept = (tmp_path / "logs" / "a.log.1").read_bytes()
    assert len(kept) == 100
    assert kept.endswith(b"end")


def test_below_the_limit_nothing_happens(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "a.log", limit=10)
    log.bound()
    log.path.write_bytes(b"x" * 10)
    log.bound()
    assert log.path.read_bytes() == b"x" * 10


def test_a_child_that_writes_without_end_fills_no_disk(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "a.log", limit=10_000)
    process = spawn([sys.executable, "-uc", "while True: print('x' * 99)"], log)
    for _ in range(20):
        while not log.path.exists() or log.path.stat().st_size <= log.limit:
            assert process.poll() is None
        log.bound()
    stop(process, 5)
    log.bound()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * log.limit


def test_last_lines_leave_stack_frames_out(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "a.log")
    assert log.last_lines() == ""
    log.path.write_text("old\nreason\n\tat somewhere\n\n    at nowhere\nend\n")
    assert log.last_lines(2) == "reason\nend"
