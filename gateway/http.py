"""Requests and responses over ASGI, as thin as intake needs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]


class Response(NamedTuple):
    """A whole answer. `headers` come besides Content-Type and Content-Length."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: Sequence[Header] = ()


class HttpError(Exception):
    """Raised anywhere below a handler; the application answers with it. Its text names no value of an event."""

    def __init__(self, status: int, reason: str, headers: Sequence[Header] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers

    def response(self) -> Response:
        return json_response(self.status, {"error": str(self)}, self.headers)


class ClientGone(Exception):
    """The client closed the connection before its request was whole; nobody is left to answer."""


class Request:
    """One HTTP request; its body comes by `receive`."""

    __slots__ = ("_headers", "method", "path", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._headers: dict[bytes, bytes] = dict(scope["headers"])

    def header(self, name: bytes) -> bytes | None:
        """The last header `name` (lower case), or None."""
        return self._headers.get(name)


Handler = Callable[[Request], Awaitable[Response]]


def json_response(status: int, content: Any, headers: Sequence[Header] = ()) -> Response:
    return Response(status, orjson.dumps(content), headers=headers)


async def send_response(send: Send, response: Response) -> None:
    """Write `response`. Answers 204 and 304 carry neither body nor Content-Length."""
    headers = list(response.headers)
    if response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(response.body)))
        if response.body:
            headers.append((b"content-type", response.content_type))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
