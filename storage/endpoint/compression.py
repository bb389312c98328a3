"""How a response is compressed: ClickHouse's own blocks (`compress=1`, the JDBC driver's default), or an HTTP encoding.

ClickHouse's blocks: CityHash128 (version 1.0.2) of what follows, the method (0x82: LZ4), the block's size with these 9
bytes, the size without compression, and an LZ4 block. See CompressedWriteBuffer in ClickHouse.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator
from typing import Protocol

import lz4.block
import lz4.frame
from clickhouse_cityhash.cityhash import CityHash128

_BLOCK_BYTES = 1 << 20
_LZ4 = 0x82
_HEAD = struct.Struct("<BII")
_CHECKSUM = struct.Struct("<QQ")


class Encoder(Protocol):
    """Compresses a response piece by piece; each piece can be read as soon as it is there."""

    def encode(self, piece: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


def _block(data: bytes) -> bytes:
    packed: bytes = lz4.block.compress(data, store_size=False)
    block = _HEAD.pack(_LZ4, _HEAD.size + len(packed), len(data)) + packed
    high, low = divmod(CityHash128(block), 1 << 64)
    return _CHECKSUM.pack(high, low) + block


class NativeBlocks:
    """ClickHouse's own blocks, of at most 1 MiB each."""

    def encode(self, piece: bytes) -> bytes:
        return b"".join(_block(piece[at : at + _BLOCK_BYTES]) for at in range(0, len(piece), _BLOCK_BYTES))

    def finish(self) -> bytes:
        return b""


class Gzip:
    """Content-Encoding gzip."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(1, wbits=31)

    def encode(self, piece: bytes) -> bytes:
        return self._stream.compress(piece) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush()


class Lz4Frames:
    """Content-Encoding lz4: one frame."""

    def __init__(self) -> None:
        self._stream = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._begun = False

    def encode(self, piece: bytes) -> bytes:
        head = b"" if self._begun else self._stream.begin()
        self._begun = True
        return bytes(head + self._stream.compress(piece))

    def finish(self) -> bytes:
        return bytes(self._stream.flush() if self._begun else self._stream.begin() + self._stream.flush())


_ENCODINGS: dict[str, type[Gzip] | type[Lz4Frames]] = {"lz4": Lz4Frames, "gzip": Gzip}


def http_encoding(accepted: str) -> str:
    """The first encoding of an Accept-Encoding header that is spoken here, or ''. `q` is not weighed, but for 0."""
    for part in accepted.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() in _ENCODINGS and quality.replace(" ", "") not in ("q=0", "q=0.0"):
            return name.strip()
    return ""


def encoder_for(blocks: bool, encoding: str) -> Encoder | None:
    """The encoder of a response, if any. ClickHouse's blocks go before an HTTP encoding, as in its server."""
    if blocks:
        return NativeBlocks()
    return _ENCODINGS[encoding]() if encoding else None


def encoded(pieces: Generator[bytes, None, None], encoder: Encoder | None) -> Generator[bytes, None, None]:
    """`pieces`, compressed. Closing this closes them."""
    if encoder is None:
        yield from pieces
        return
    try:
        for piece in pieces:
            yield encoder.encode(piece)
    finally:
        pieces.close()
    yield encoder.finish()
