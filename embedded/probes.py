"""Readiness probes for `ChildSpec.ready`: quick, and False rather than an error."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable

from proventrail.embedded.server_properties import HOST


def http_ready(port: int, path: str = "/health", seconds: float = 1.0) -> Callable[[], bool]:
    """Whether `GET path` on that port of this machine answers 200 within `seconds`."""

    def ready() -> bool:
        connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ready


def port_open(port: int, seconds: float = 0.2) -> Callable[[], bool]:
    """Whether someone listens on that port of this machine."""

    def ready() -> bool:
        with socket.socket() as probe:
            probe.settimeout(seconds)
            return probe.connect_ex((HOST, port)) == 0

    return ready
