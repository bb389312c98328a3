"""The gateway as a process: sockets, tasks, signals, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn
from confluent_kafka import KafkaException

from proventrail.gateway.app import Gateway
from proventrail.gateway.auth import ensure_token
from proventrail.gateway.intake import Intake
from proventrail.gateway.publisher import Publisher
from proventrail.gateway.readiness import Readiness
from proventrail.gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)

_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 65


class GatewayError(Exception):
    """The gateway can't start or go on; the text says why."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: `GatewayServer` decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class GatewayServer:
    """Binds its port at once, so `port` is known before `run` serves. Raises GatewayError, TokenError."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.token, self.token_is_new = ensure_token(settings.data_dir)
        self._socket = _listen(settings.host, settings.port)
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """How a client on this machine reaches the gateway."""
        scheme = "https" if self.settings.tls_certificate else "http"
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.settings.host, self.settings.host)
        return f"{scheme}://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"

    def stop(self) -> None:
        """Ask `run` to drain and return. Safe from any thread and from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until `stop`. Then take no more connections, finish what is in flight and flush, within
        `drain_seconds`. Raises GatewayError when Kafka's producer fails for good."""
        config = self._config()
        loop_factory = config.get_loop_factory()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(self._serve(config))

    def _config(self) -> uvicorn.Config:
        settings = self.settings
        return uvicorn.Config(
            app="",
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(settings.drain_seconds),
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )

    async def _serve(self, config: uvicorn.Config) -> None:
        settings = self.settings
        publisher = Publisher(settings.kafka, settings.topic, settings.queue_bytes, settings.acknowledge_seconds)
        readiness = Readiness(publisher, settings.stage_urls)
        config.app = Gateway(self.token, Intake(settings, publisher), readiness, settings.stage_urls)
        server = _Server(config)
        reports = asyncio.create_task(publisher.run())
        watch = asyncio.create_task(readiness.run())
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        _log.info("listening on %s", self.url)
        while not (self._stopping.is_set() or reports.done() or serving.done()):
            await asyncio.sleep(0.05)
        server.should_exit = True
        await serving
        watch.cancel()
        failed = reports.exception() if reports.done() else None
        reports.cancel()
        left = await asyncio.to_thread(publisher.flush, settings.drain_seconds)
        if left:
            _log.warning(
                "stopped with %d events that Kafka has not acknowledged; nobody was told they were taken", left
            )
        if isinstance(failed, KafkaException):
            raise GatewayError(f"Kafka's producer failed for good ({failed.args[0].name()}): start the gateway anew")
        if failed is not None:
            raise failed


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise GatewayError(f"can't listen on {host} port {port}: {error.strerror}; give another --port") from None
    listener.setblocking(False)
    return listener


def run_gateway(settings: GatewaySettings, stop: threading.Event | None = None) -> None:
    """Run a gateway until SIGTERM, SIGINT or `stop`. Raises GatewayError, TokenError.

    Called in the main thread it handles the two signals; elsewhere `stop` is the only way.
    """
    server = GatewayServer(settings)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
    if stop is not None:
        threading.Thread(target=_stop_when, args=(stop, server), name="stop", daemon=True).start()
    server.run()


def _stop_when(stop: threading.Event, server: GatewayServer) -> None:
    stop.wait()
    server.stop()
