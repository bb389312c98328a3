"""`GET /health` and `GET /metrics` of one stage, for the supervisor, the gateway and Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Ready = Callable[[], tuple[bool, str]]
"""Says whether the stage is ready, and in one line why (not)."""


class StatusServer:
    """Serves a stage's readiness and metrics from a thread of its own.

    `/health` answers 200 when `ready()` says so, else 503; the body is `{"ready": bool, "detail": str}`.
    """

    def __init__(
        self, ready: Ready, port: int = 0, host: str = "127.0.0.1", registry: CollectorRegistry = REGISTRY
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/health":
                    ok, detail = ready()
                    body = json.dumps({"ready": ok, "detail": detail}).encode()
                    self._answer(200 if ok else 503, "application/json", body)
                elif self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                else:
                    self._answer(404, "text/plain", b"there are /health and /metrics\n")

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every second: they are not worth a log line."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on; the one the system gave where 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> StatusServer:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
