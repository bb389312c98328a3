"""Logging of the server processes: one line an event, to stderr, with no data value of an event in it."""

from __future__ import annotations

import logging
import sys
import time


def configure_logging(stage: str, level: str = "INFO") -> None:
    """Send this process's log lines to stderr as `time level stage logger: message`, in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s {stage} %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # One line for each probe of each second would bury the rest.
    logging.getLogger("httpx").setLevel(logging.WARNING)
