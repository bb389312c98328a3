"""Memory that the process of a sink does not need any more is given back to the system, rather than kept for later.

Three allocators meet in it: glibc's (Python, the Avro codec), Arrow's and the engine's jemalloc. Each keeps what a
chunk took for the next one, so that together they hold several times what any chunk needs. And loading the engine
touches some hundred MB of its code that no query uses again.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

_M_MMAP_THRESHOLD = -3  # malloc.h
_M_ARENA_MAX = -8
_MADV_DONTNEED = 4  # sys/mman.h
_LARGE = 128 << 10
_MAPS = Path("/proc/self/smaps")


def give_back_early() -> None:
    """Let freed blocks of 128 KiB and more go back at once, and the engine's after half a second.

    To be called before the engine's library is loaded: jemalloc reads its settings (https://jemalloc.net/jemalloc.3.html)
    then. A user's own JE_MALLOC_CONF is left alone. Where the C library has no `mallopt` nothing is set there.
    """
    os.environ.setdefault("JE_MALLOC_CONF", "dirty_decay_ms:500")
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # glibc raises its threshold with each large block that is freed, up to 32 MiB, until it is set.
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        # Else each thread may get an arena of its own, which keeps 64 MB of what passed through it.
        mallopt(_M_ARENA_MAX, 2)


def _unwritten(library: str) -> Iterator[tuple[int, int]]:
    """Address and length of each mapping of `library` (part of a file's name) of which no page was ever written to."""
    if not _MAPS.exists():
        return
    address = length = 0
    for line in _MAPS.read_text().splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            first, last = (int(end, 16) for end in name.split("-"))
            mode, _, _, inode, *file = rest.split(maxsplit=4)
            mapped = "w" not in mode and inode != "0" and library in os.path.basename(file[0])
            address, length = first, last - first if mapped else 0
        elif name == "Anonymous:" and length and int(rest.split()[0]) == 0:
            yield address, length


def forget_code(library: str) -> int:
    """Unmap the pages of a library's code and constants until they are used again; the bytes that these have.

    They stay in the system's page cache, so a page that is needed comes back without reading. What the loader or anyone
    wrote to is left alone, so nothing is lost. Where there is no /proc nothing is done.
    """
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is None:
        return 0
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return sum(length for address, length in _unwritten(library) if madvise(address, length, _MADV_DONTNEED) == 0)
