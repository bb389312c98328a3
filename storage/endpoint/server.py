"""The endpoint's HTTP server: an ASGI application in a thread of the process that has the engine open."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import uvicorn

from proventrail.storage.endpoint.compression import encoded, encoder_for
from proventrail.storage.endpoint.formats import CONTENT_TYPES
from proventrail.storage.endpoint.guard import Refused
from proventrail.storage.endpoint.request import MAX_BODY_BYTES, USER, BadRequest, Query, authenticated, read_query
from proventrail.storage.endpoint.session import QueryError, Session, split_format

log = logging.getLogger(__name__)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Pieces = Generator[bytes, None, None]

T = TypeVar("T")

_BUSY = 202
_QUEUE_SECONDS = 10.0
# As ClickHouse's HTTPHandler answers; every other code is 500.
_STATUS = {
    **dict.fromkeys((193, 194, 516), 403),
    **dict.fromkeys((36, 43, 44, 47, 53, 62, 115, 117, 130, 386, 395, 396, 456, 457), 400),
    **dict.fromkeys((46, 60, 73, 81), 404),
    164: 403,
    159: 408,
    _BUSY: 503,
}


class Endpoint:
    """Serves the store to whoever has the token. `start` returns once it listens."""

    def __init__(
        self,
        connection_string: str,
        token: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        sessions: int = 4,
        database: str = "proventrail",
    ) -> None:
        self._token = token
        self._database = database
        self._sessions = [Session(connection_string) for _ in range(sessions)]
        self._timezone = self._sessions[0].timezone
        self._turns = asyncio.Semaphore(sessions)
        self._threads = ThreadPoolExecutor(sessions, "endpoint-query")
        config = uvicorn.Config(
            self._app,
            host=host,
            port=port,
            interface="asgi3",
            log_level="critical",
            lifespan="off",
            access_log=False,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="endpoint", daemon=True)

    def start(self) -> Endpoint:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise OSError(f"port {self._server.config.port} of the ClickHouse endpoint is taken: give another one")
            threading.Event().wait(0.01)
        return self

    @property
    def port(self) -> int:
        """The port it listens on; the one the system gave where 0 was asked for."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._threads.shutdown()
        for session in self._sessions:
            session.close()

    # -- ASGI ----------------------------------------------------------------------------------------------------------

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path, method = scope["path"], scope["method"]
        if path in ("/ping", "/replicas_status"):
            await _answer(send, 200, b"Ok.\n")
            return
        if path not in ("/", "/query"):
            await _answer(send, 404, b"There is / (queries) and /ping\n")
            return
        query_string = scope["query_string"].decode("latin-1")
        if not authenticated(headers, dict(parse_qsl(query_string)), self._token):
            text = f"Code: 516. DB::Exception: {USER}: Authentication failed. (AUTHENTICATION_FAILED)\n"
            await _answer(send, 401 if "authorization" in headers else 403, text.encode(), _error_headers(516, headers))
            return
        try:
            body = await _body(receive) if method == "POST" else b""
            query = read_query(query_string, headers, body, self._database)
        except BadRequest as error:
            text = f"Code: {error.code}. DB::Exception: {error}\n"
            await _answer(send, error.status, text.encode(), _error_headers(error.code, headers))
            return
        except Refused as error:
            text = f"Code: {error.code}. DB::Exception: {error}. (UNKNOWN_SETTING)\n"
            await _answer(send, 400, text.encode(), _error_headers(error.code, headers))
            return
        await self._serve(query, headers, receive, send)

    async def _serve(self, query: Query, headers: dict[str, str], receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(_QUEUE_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            text = f"Code: {_BUSY}. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)\n"
            await _answer(send, 503, text.encode(), [*_error_headers(_BUSY, headers), (b"retry-after", b"1")])
            return
        session = self._sessions.pop()
        pieces: Pieces | None = None
        try:
            try:
                pieces, first, fmt = await self._in_thread(_begin, session, query)
            except QueryError as error:
                status = _STATUS.get(error.code, 500)
                await _answer(send, status, f"{error}\n".encode(), _error_headers(error.code, headers))
                return
            assert pieces is not None
            gone = asyncio.ensure_future(_gone(receive))
            try:
                await self._stream(send, query, fmt, first, pieces, gone)
            finally:
                gone.cancel()
        finally:
            if pieces is not None:
                await self._in_thread(pieces.close)
            self._sessions.append(session)
            self._turns.release()

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Each session has a thread, so that a query that waits for a turn never holds one that runs."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _stream(
        self, send: Send, query: Query, fmt: str, first: bytes, pieces: Pieces, gone: asyncio.Future[None]
    ) -> None:
        content_type = CONTENT_TYPES.get(fmt, "application/octet-stream")
        head = [
            (b"content-type", content_type.encode()),
            (b"x-clickhouse-query-id", (query.query_id or str(uuid.uuid4())).encode()),
            (b"x-clickhouse-format", fmt.encode()),
            (b"x-clickhouse-timezone", query.settings.get("session_timezone", self._timezone).encode()),
            (b"x-clickhouse-server-display-name", b"proventrail"),
            (b"x-clickhouse-summary", b'{"read_rows":"0","read_bytes":"0"}'),
        ]
        if query.encoding:
            head.append((b"content-encoding", query.encoding.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": head})
        piece: bytes | None = first
        try:
            while piece is not None and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await self._in_thread(next, pieces, None)
        except QueryError as error:
            # The status is out: the text says it, and the response ends broken, as a server's does.
            if not query.native_blocks and not query.encoding:
                await send({"type": "http.response.body", "body": f"\n{error}\n".encode(), "more_body": True})
            log.warning("a query failed after its first rows (code %d)", error.code)
            return
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _begin(session: Session, query: Query) -> tuple[Pieces, bytes, str]:
    """Check the query and start it: its pieces as they are sent, the first of them, and their format."""
    session.enter(query.database)
    text, fmt = split_format(session.canonical(query.text), query.fmt)
    session.check(text, query.params)
    session.apply(query.settings)
    pieces = encoded(session.run(text, fmt, query.params), encoder_for(query.native_blocks, query.encoding))
    return pieces, next(pieces, b""), fmt


def _error_headers(code: int, headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    found = [(b"x-clickhouse-exception-code", str(code).encode())]
    if code == 516 and "authorization" in headers:
        found.append((b"www-authenticate", b'Basic realm="Proventrail"'))
    return found


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    head = [(b"content-type", b"text/plain; charset=UTF-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*head, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise BadRequest(f"the query has more than {MAX_BODY_BYTES} bytes", 413)
        if not message.get("more_body"):
            return b"".join(parts)
