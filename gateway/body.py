"""Request bodies: their type, their encoding and their bounds."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from proventrail.gateway.http import ClientGone, HttpError, Request

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
_UTF8 = (b"utf-8", b"utf8", b"us-ascii")
_GZIP_WINDOW = 31  # zlib's 15 bits of window, + 16 for the gzip format


class Budget:
    """Counts the bytes of all bodies that are held; `Busy` is the answer to what goes beyond."""

    def __init__(self, limit: int, busy: HttpError) -> None:
        self._free = limit
        self._busy = busy

    def take(self, n: int) -> None:
        """Raises HttpError (503) if `n` bytes are not free."""
        if n > self._free:
            raise self._busy
        self._free -= n

    def give_back(self, n: int) -> None:
        self._free += n


class Held:
    """The share of one request in the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.bytes = 0

    def take(self, n: int) -> None:
        self._budget.take(n)
        self.bytes += n


@contextmanager
def held(budget: Budget) -> Iterator[Held]:
    """A share of the budget that is given back at the end of the request."""
    share = Held(budget)
    try:
        yield share
    finally:
        budget.give_back(share.bytes)


def media_type(request: Request, accepted: tuple[bytes, ...]) -> bytes:
    """The media type of the body, if it is in `accepted` and in UTF-8. Raises HttpError 415."""
    name, _, parameters = (request.header(b"content-type") or b"").lower().partition(b";")
    name = name.strip()
    if name not in accepted:
        raise HttpError(415, f"Content-Type must be {b' or '.join(accepted).decode()}")
    for parameter in parameters.split(b";"):
        key, _, value = parameter.partition(b"=")
        if key.strip() == b"charset" and value.strip().strip(b'"') not in _UTF8:
            raise HttpError(415, "the charset of the body must be utf-8")
    return name


class _Inflate:
    """gzip, member by member, that never gives out more than it is asked for."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    def feed(self, data: bytes, room: int) -> bytes:
        """Up to `room` + 1 bytes: one more than allowed tells that there is too much."""
        parts: list[bytes] = []
        left = room + 1
        while data and left > 0:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            part = self._member.decompress(data, left)
            left -= len(part)
            parts.append(part)
            data = self._member.unused_data or self._member.unconsumed_tail
        return b"".join(parts)

    @property
    def complete(self) -> bool:
        return self._member.eof


def _decoder(request: Request) -> _Inflate | None:
    encoding = (request.header(b"content-encoding") or b"identity").strip().lower()
    if encoding == b"identity":
        return None
    if encoding in (b"gzip", b"x-gzip"):
        return _Inflate()
    raise HttpError(415, "Content-Encoding must be gzip or absent", [(b"accept-encoding", b"gzip, identity")])


def _refuse_declared_size(request: Request, limit: int) -> None:
    declared = request.header(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"the body is larger than {limit} bytes: send it in smaller batches")


async def read_body(request: Request, limit: int, share: Held, seconds: float) -> bytes:
    """The whole body, inflated, of at most `limit` bytes.

    Raises HttpError: 400 bad gzip, 408 not there after `seconds`, 413 too large, 415 unknown encoding, 503 no budget;
    ClientGone.
    """
    _refuse_declared_size(request, limit)
    inflate = _decoder(request)
    parts: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                part: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                if inflate is not None:
                    part = inflate.feed(part, limit - size)
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                share.take(len(part))
                parts.append(part)
    except TimeoutError:
        raise HttpError(408, f"the body was not complete after {seconds:g} s") from None
    except zlib.error:
        raise HttpError(400, "the body is not valid gzip") from None
    if inflate is not None and not inflate.complete:
        raise HttpError(400, "the gzip body ends too early")
    return parts[0] if len(parts) == 1 else b"".join(parts)
