"""A request in ClickHouse's HTTP dialect: who asks, what, with which settings and parameters."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import zlib
from dataclasses import dataclass
from urllib.parse import parse_qsl

from proventrail.storage.endpoint.compression import http_encoding
from proventrail.storage.endpoint.guard import Refused, check_setting

USER = "auditor"
DEFAULT_DATABASE = "default"
"""What clients ask for that were told of no database: ours is meant. The engine's holds no tables, but any file."""
MAX_BODY_BYTES = 8 << 20

# Parameters of the transport, and settings that clients send with every query: taken, and without effect here.
_TRANSPORT = frozenset(
    "query database default_format user password query_id session_id session_timeout session_check compress decompress "
    "enable_http_compression http_zlib_compression_level wait_end_of_query buffer_size quota_key role "
    "send_progress_in_http_headers http_headers_progress_interval_ms client_protocol_version "
    "cancel_http_readonly_queries_on_client_close add_http_cors_header readonly http_response_headers "
    "http_write_exception_in_output_format log_comment async insert_quorum async_insert wait_for_async_insert".split()
)


@dataclass(frozen=True)
class Query:
    """What a request asks for."""

    text: str
    database: str
    fmt: str
    settings: dict[str, str]
    params: dict[str, str]
    query_id: str
    native_blocks: bool
    encoding: str


class BadRequest(Exception):
    """A request that cannot be read; `status` is HTTP's, `code` ClickHouse's."""

    def __init__(self, reason: str, status: int = 400, code: int = 36) -> None:
        super().__init__(reason)
        self.status, self.code = status, code


def authenticated(headers: dict[str, str], arguments: dict[str, str], token: str) -> bool:
    """Whether the request carries the token: X-ClickHouse-Key, basic authentication, Bearer, or ?password=."""
    user, password = headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", "")
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        user, password = USER, credentials.strip()
    elif scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif not user and not password:
        user, password = arguments.get("user", ""), arguments.get("password", "")
    same = hmac.compare_digest(password.encode(), token.encode())
    return same and user in (USER, "")


def _inflate(body: bytes, encoding: str) -> bytes:
    if not encoding:
        return body
    if encoding not in ("gzip", "deflate"):
        raise BadRequest("the body's Content-Encoding is not taken: use gzip")
    stream = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15)
    try:
        body = stream.decompress(body, MAX_BODY_BYTES)
    except zlib.error:
        raise BadRequest("the body is not what its Content-Encoding says") from None
    if stream.unconsumed_tail:
        raise BadRequest(f"the query has more than {MAX_BODY_BYTES} bytes", 413)
    if not stream.eof:
        raise BadRequest("the body ends before its Content-Encoding does")
    return body


def _plain(text: str) -> str:
    """Text that goes back in a header. Raises BadRequest for what would break out of it."""
    if not re.fullmatch(r"[\x20-\x7e]{0,300}", text):
        raise BadRequest("the query id and the format must be of at most 300 ASCII characters")
    return text


def read_query(query_string: str, headers: dict[str, str], body: bytes, database: str) -> Query:
    """The query of a request, on `database` unless it names another one than `default`.

    Raises BadRequest; Refused for a setting that may not be changed.
    """
    arguments = dict(parse_qsl(query_string, keep_blank_values=True))
    if arguments.get("decompress") == "1":
        raise BadRequest("compressed query texts are not taken: send the query as it is")
    try:
        posted = _inflate(body, headers.get("content-encoding", "").lower()).decode()
    except UnicodeDecodeError:
        raise BadRequest("the query is not UTF-8") from None
    text = "\n".join(part for part in (arguments.get("query", ""), posted) if part)
    if not text.strip():
        raise BadRequest("there is no query", code=62)
    settings = {
        name: value for name, value in arguments.items() if name not in _TRANSPORT and not name.startswith("param_")
    }
    for name in list(settings):
        try:
            check_setting(name)
        except Refused:
            if not name.startswith(("max_", "http_", "send_", "connect_", "receive_", "distributed_", "insert_")):
                raise
            # Limits and time-outs that clients send on their own: ours stand.
            del settings[name]
    asked = headers.get("x-clickhouse-database") or arguments.get("database") or DEFAULT_DATABASE
    native_blocks = arguments.get("compress") == "1"
    accepted = headers.get("accept-encoding", "")
    return Query(
        text=text,
        database=database if asked == DEFAULT_DATABASE else asked,
        fmt=_plain(headers.get("x-clickhouse-format") or arguments.get("default_format") or "TabSeparated"),
        settings=settings,
        params={name[6:]: value for name, value in arguments.items() if name.startswith("param_")},
        query_id=_plain(headers.get("x-clickhouse-query-id") or arguments.get("query_id", "")),
        native_blocks=native_blocks,
        encoding="" if native_blocks or arguments.get("enable_http_compression") != "1" else http_encoding(accepted),
    )
