"""Memory goes back to the system, and the engine works on after its code was unmapped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from proventrail.storage.memory import forget_code
from proventrail.storage.store import Store

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc")

_KEPT = """
import sys
from pathlib import Path
from proventrail.storage.memory import give_back_early

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

if sys.argv[1] == "early":
    give_back_early()
before = resident()
for size in range(4, 28, 4):
    block = bytearray(b"x") * (size << 20)
    del block
blocks = [bytearray(b"x") * (1 << 20) for _ in range(100)]
above = bytearray(b"x") * 200_000
del blocks
print(resident() - before)
"""


def test_an_engine_goes_on_without_the_pages_of_its_code(store: Store) -> None:
    store.rows("SELECT 1")
    assert forget_code("_chdb") > 1 << 20
    assert store.rows("SELECT sum(number) FROM numbers(100)") == [(4950,)]


def test_a_library_that_is_not_loaded_has_no_code() -> None:
    assert forget_code("no-such-library") == 0


def test_large_blocks_go_back_at_once() -> None:
    assert _kept("early") < 50 < _kept("as it was")


def _kept(mode: str) -> int:
    found = subprocess.run([sys.executable, "-c", _KEPT, mode], capture_output=True, text=True, check=True)
    return int(found.stdout)
