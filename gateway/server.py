"""The gateway as a process: socket, tasks, signals, drain."""

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
from proventrail.gateway.events import Verdict, verdict_named
from proventrail.gateway.intake import Intake
from proventrail.gateway.publisher import Publisher
from proventrail.gateway.readiness import Readiness
from proventrail.gateway.settings import GatewaySettings
from proventrail.schemas.avro import SINGLE_OBJECT, Framing
from proventrail.schemas.registry import RegistryError, SchemaRegistry
from proventrail.schemas.verdict import SpecMissing

_log = logging.getLogger(__name__)

_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 65
_LOOK_SECONDS = 0.05


class GatewayError(Exception):
    """The gateway can't start or go on; the text says why."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: `GatewayServer` decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class GatewayServer:
    """One process of a gateway. It binds its port at once, so `port` is known before `run` serves.

    With `listener`, it accepts from a socket that another process has bound. Raises GatewayError, TokenError.
    """

    def __init__(self, settings: GatewaySettings, name: str = "gateway", listener: socket.socket | None = None) -> None:
        self.settings = settings
        self.name = name
        self._judge = _verdict(settings)
        self._framing = _framing(settings)
        self.token, self.token_is_new = ensure_token(settings.data_dir)
        self.listener = listener or _listen(settings.host, settings.port)
        self.port = int(self.listener.getsockname()[1])
        self._publisher = Publisher(settings.kafka, settings.topic, settings.queue_bytes, settings.acknowledge_seconds)
        self._others: dict[str, str] = dict(settings.stage_urls)
        self._readiness = Readiness(name, self._publisher, self._others)
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """How a client on this machine reaches the gateway."""
        scheme = "https" if self.settings.tls_certificate else "http"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.host, self.settings.host)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def know(self, urls: dict[str, str]) -> None:
        """Other processes of this gateway, by name, with their `/health` URLs. Call it before `run`."""
        self._others.update(urls)

    def ready(self) -> tuple[bool, str]:
        """Whether this process alone reaches Kafka, and in one line why (not)."""
        return self._readiness.own.ready, self._readiness.own.detail

    def stop(self) -> None:
        """Ask `run` to drain and return. Safe from any thread and from a signal handler."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def run(self) -> None:
        """Serve until `stop`. Then take no more connections, finish what is in flight and flush, within
        `drain_seconds`. Raises GatewayError when Kafka's producer fails for good."""
        with self.listener:
            config = self._config()
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(self._serve(config))

    def _config(self) -> uvicorn.Config:
        settings = self.settings
        intake = Intake(settings, self._judge, self._publisher, self._framing)
        return uvicorn.Config(
            app=Gateway(self.name, self.token, intake, self._readiness, self._others),
            interface="asgi3",
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
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[self.listener]))
        background = [asyncio.create_task(self._publisher.run()), asyncio.create_task(self._readiness.run())]
        _log.info("%s listens on %s", self.name, self.url)
        while not (self.stopping or any(task.done() for task in (serving, *background))):
            await asyncio.sleep(_LOOK_SECONDS)
        server.should_exit = True
        await serving
        for task in background:
            task.cancel()
        ends = await asyncio.gather(*background, return_exceptions=True)
        left = await asyncio.to_thread(self._publisher.flush, self.settings.drain_seconds)
        if left:
            _log.warning("%d events are not acknowledged by Kafka; nobody was told that they were taken", left)
        for end in ends:
            if isinstance(end, KafkaException):
                raise GatewayError(f"Kafka's producer failed for good ({end.args[0].name()}): start the gateway anew")
            if isinstance(end, Exception):
                raise end


def _verdict(settings: GatewaySettings) -> Verdict:
    try:
        return verdict_named(settings.verdict, settings.openlineage_spec)
    except SpecMissing as error:
        raise GatewayError(f"the strict verdict: {error}") from None


def _framing(settings: GatewaySettings) -> Framing:
    if settings.schema_registry is None:
        return SINGLE_OBJECT
    try:
        return SchemaRegistry(settings.schema_registry).framing({settings.topic: "lineage_event"})
    except RegistryError as error:
        raise GatewayError(str(error)) from None


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


def stop_on_signals(server: GatewayServer) -> None:
    """SIGTERM and SIGINT drain `server`. Call it in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
