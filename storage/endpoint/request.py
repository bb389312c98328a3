"""A request in ClickHouse's HTTP dialect: who asks, what, with which settings and parameters."""

from __future__ import annotations

import base64
import binascii
import gzip
import hmac
import zlib
from dataclasses import dataclass
from urllib.parse import parse_qsl

from proventrail.storage.endpoint.guard import Refused, check_setting

USER = "auditor"
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
    compress: bool


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
    return same and user in (USER, "default", "")


def _inflate(body: bytes, encoding: str) -> bytes:
    try:
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "deflate":
            body = zlib.decompress(body)
        elif encoding:
            raise BadRequest(f"Content-Encoding {encoding} is not taken: use gzip")
    except (OSError, EOFError, zlib.error):
        raise BadRequest("the body is not what its Content-Encoding says") from None
    return body


def read_query(query_string: str, headers: dict[str, str], body: bytes, database: str) -> Query:
    """The query of a request, on `database` unless it names one.

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
    return Query(
        text=text,
        database=headers.get("x-clickhouse-database") or arguments.get("database") or database,
        fmt=headers.get("x-clickhouse-format") or arguments.get("default_format") or "TabSeparated",
        settings=settings,
        params={name[6:]: value for name, value in arguments.items() if name.startswith("param_")},
        query_id=headers.get("x-clickhouse-query-id") or arguments.get("query_id", ""),
        compress=arguments.get("compress") == "1",
    )
