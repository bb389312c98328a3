"""Children that end with their parent, however it ends: `prctl(PR_SET_PDEATHSIG)` of Linux, prctl(2)."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent is gone. For `preexec_fn`; a no-op elsewhere."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
