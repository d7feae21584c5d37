"""The Content-Encoding of request bodies: gzip and deflate, unpacked piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from slipway_core.errors import MalformedBody, UnsupportedMediaType
from slipway_inference.http.context import RequestContext

MAX_PIECE_BYTES = 128 * 1024
"""Size of a piece, which is unpacked within a millisecond: a body can become a thousand times as
large as it was sent.
"""
MAX_SHORT_MEMBERS, MIN_MEMBER_BYTES = 1000, 1024
"""A gzip file may consist of several, its members. Each costs some microseconds, however short it
is, so that beyond the first thousand they need a size.
"""
MAX_SHOWN_ENCODING = 64
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ENCODINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def find_decompressor(context: RequestContext) -> Decompressor | None:
    """Return what unpacks the body of a request, or None for one that is sent plain.

    Raises UnsupportedMediaType for other encodings.
    """
    encoding = (context.header("content-encoding") or "identity").strip().lower()
    if encoding == "identity":
        return None
    if encoding not in _ENCODINGS:
        shown = encoding[:MAX_SHOWN_ENCODING].encode("ascii", "replace").decode()
        raise UnsupportedMediaType(
            f"the Content-Encoding '{shown}' is not supported; send the body plain, or in gzip or "
            "deflate"
        )
    return Decompressor(encoding)


class Decompressor:
    """Unpacks one body. gzip may have several members; deflate is taken with the header of zlib, as
    the standard says, and without, as some clients send it.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None
        self._start = b""
        self._received_bytes = self._members = 0

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces that further bytes of the body hold; some may be empty.

        Raises MalformedBody.
        """
        self._received_bytes += len(data)
        while data:
            if self._stream is None:
                data = self._start + data
                self._start = b""
                if len(data) < 2:  # too short for a header
                    self._start = data
                    return
                self._stream = self._open(data)
            data, piece = self._unpack_piece(self._stream, data)
            yield piece

    def finish(self) -> None:
        """Raise MalformedBody when the body has ended before what it holds."""
        if self._stream is not None or self._start or not self._members:
            raise MalformedBody(f"the body is not one whole stream of {self._encoding}")

    def _open(self, data: bytes) -> zlib._Decompress:
        self._members += 1
        window = _ENCODINGS[self._encoding]
        if window == _GZIP:
            if self._members > MAX_SHORT_MEMBERS + self._received_bytes // MIN_MEMBER_BYTES:
                raise MalformedBody(
                    f"the body consists of too many short streams of {self._encoding}; send one"
                )
        elif self._members > 1:
            raise MalformedBody(f"the body is not one whole stream of {self._encoding}")
        elif data[0] & 0x0F != zlib.DEFLATED or int.from_bytes(data[:2], "big") % 31:
            window = _RAW
        return zlib.decompressobj(window)

    def _unpack_piece(self, stream: zlib._Decompress, data: bytes) -> tuple[bytes, bytes]:
        """Return the bytes that are left, and a piece."""
        try:
            piece = stream.decompress(data, MAX_PIECE_BYTES)
            # What a full piece had no room for may be in the stream alone.
            if len(piece) == MAX_PIECE_BYTES and not stream.unconsumed_tail and not stream.eof:
                piece += stream.decompress(b"", MAX_PIECE_BYTES)
        except zlib.error:
            raise MalformedBody(f"the body is not valid {self._encoding}") from None
        if stream.eof:
            self._stream = None
            return stream.unused_data, piece
        return stream.unconsumed_tail, piece
