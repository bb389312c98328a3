"""The ASGI application: routes, access and the answers to errors."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from proventrail.gateway.auth import bearer_matches
from proventrail.gateway.exposition import gather_metrics
from proventrail.gateway.http import (
    ClientGone,
    Handler,
    HttpError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    json_response,
    send_response,
)
from proventrail.gateway.intake import Intake
from proventrail.gateway.readiness import Readiness
from proventrail.telemetry import metrics

_log = logging.getLogger(__name__)

_HINT = b"""Proventrail gateway
POST /api/v1/lineage        one OpenLineage event
POST /api/v1/lineage/batch  an array of them
GET  /health                ready or not, per stage
GET  /metrics               Prometheus metrics
"""


@dataclass(frozen=True)
class Route:
    """What a path answers: handlers by method, and whether it asks for the token."""

    handlers: dict[str, Handler]
    public: bool = False

    @property
    def allow(self) -> bytes:
        return ", ".join(sorted({*self.handlers, *(["HEAD"] if "GET" in self.handlers else []), "OPTIONS"})).encode()


class Gateway:
    """The application. Other parts of the gateway add to `routes`."""

    def __init__(self, name: str, token: str, intake: Intake, readiness: Readiness, stage_urls: dict[str, str]) -> None:
        self._name = name
        self._token = token.encode()
        self._readiness = readiness
        self._stage_urls = stage_urls
        self.routes = {
            "/": Route({"GET": self._hint}, public=True),
            "/health": Route({"GET": self._health}, public=True),
            "/metrics": Route({"GET": self._metrics}, public=True),
            "/api/v1/lineage": Route({"POST": intake.one}),
            "/api/v1/lineage/batch": Route({"POST": intake.batch}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = asyncio.get_running_loop().time()
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except HttpError as error:
            response = error.response()
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - its text may quote an event, so only its type and place go on
            _log_crash(error)
            response = json_response(500, {"error": "internal error"})
        path = request.path if request.path in self.routes else "other"
        metrics.HTTP_REQUESTS.labels(path, response.status).inc()
        metrics.HTTP_SECONDS.labels(path).observe(asyncio.get_running_loop().time() - started)
        await send_response(send, response)

    async def _answer(self, request: Request) -> Response:
        route = self.routes.get(request.path)
        if route is None:
            raise HttpError(404, "there is nothing here: events go to POST /api/v1/lineage")
        if request.method == "OPTIONS":
            return Response(204, headers=[(b"allow", route.allow)])
        handler = route.handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise HttpError(405, f"the methods here are {route.allow.decode()}", [(b"allow", route.allow)])
        if not route.public and not bearer_matches(request.header(b"authorization"), self._token):
            raise HttpError(
                401,
                "a token is needed: send `Authorization: Bearer TOKEN`; the token lies in the data directory",
                [(b"www-authenticate", b'Bearer realm="proventrail"')],
            )
        return await handler(request)

    async def _hint(self, request: Request) -> Response:
        return Response(200, _HINT, b"text/plain; charset=utf-8")

    async def _health(self, request: Request) -> Response:
        return json_response(200 if self._readiness.ready else 503, self._readiness.report())

    async def _metrics(self, request: Request) -> Response:
        own = generate_latest(REGISTRY).decode()
        return Response(200, await gather_metrics(self._name, own, self._stage_urls), CONTENT_TYPE_LATEST.encode())


def _log_crash(error: Exception) -> None:
    """One line: the error's type and the innermost place. Its text may hold a value of an event."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    _log.error("request failed: %s at %s", type(error).__name__, place)
