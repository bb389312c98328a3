"""A load that is sent in the background, at a steady pace."""

from __future__ import annotations

import threading
import time

from .load import Load, Sender

_PARTS = 200


class Sending:
    """Sends `load` over `seconds`; what is acknowledged is noted in its outcome."""

    def __init__(self, servers: str, load: Load, seconds: float) -> None:
        self._sender = Sender(servers, load.outcome)
        self._records, self._seconds = load.records, seconds
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        size = -(-len(self._records) // _PARTS)
        for n in range(_PARTS):
            self._sender.send(self._records[n * size : (n + 1) * size])
            time.sleep(self._seconds / _PARTS)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def finish(self) -> None:
        """Return when all of it is acknowledged."""
        self._thread.join()
        self._sender.finish()
