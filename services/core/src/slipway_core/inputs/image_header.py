"""Reads the size of an encoded image from its header, without decoding anything.

The server needs the size before it accepts an image. A decoder would be native code that reads what
a stranger sent, in the process with the secrets: this module only compares and unpacks a few bytes,
at most once for each of a bounded number of blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

MAX_BLOCKS = 1_000
"""Segments of a JPEG before its picture, chunks of a PNG before its first pixels, blocks of a GIF
before its first frame, and entries of a TIFF. Decoders take time for each. Cameras write some
dozens, and 255 for the largest colour profile.
"""
MAX_SCANS = 64
"""Scans of a JPEG, each of which decoders run over the whole picture. Progressive ones have ten."""
MAX_TIFF_VALUES = 20_000
"""Values of one entry of a TIFF, such as the places of its strips."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_UNCOMPRESSED_BMP = (0, 3, 6)  # pixels as they are, and two kinds of masks for their channels
_TIFF_BYTES = (1, 2, 6, 7)  # kinds of values that decoders do not unpack
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_JPEG_START_OF_SCAN = 0xDA
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})

Size = tuple[int, int]


class ImageLimits(msgspec.Struct, frozen=True):
    """Limits on the size of a picture in pixels."""

    max_pixels: int = 25_000_000
    max_side: int = 16_384

    def find_excess(self, size: Size) -> str:
        """Return which limit a size exceeds, as a rule for the caller; empty when none."""
        width, height = size
        if max(size) > self.max_side:
            return (
                f"has {width} x {height} pixels, and no side may have over {self.max_side} "
                "(SLIPWAY_MAX_IMAGE_SIDE)"
            )
        if width * height > self.max_pixels:
            return (
                f"has {width} x {height} pixels, and may have {self.max_pixels} in all "
                "(SLIPWAY_MAX_IMAGE_PIXELS)"
            )
        return ""


def read_image_size(content: bytes) -> Size | None:
    """Return width and height in pixels; None for what is not an image in one of FORMATS."""
    for start, read in _READERS:
        if content.startswith(start):
            try:
                size = read(content)
            except (struct.error, IndexError):  # it ends within the header
                return None
            return size if size and min(size) > 0 else None
    return None


def _read_png(content: bytes) -> Size | None:
    if content[12:16] != b"IHDR":
        return None
    size: Size = struct.unpack_from(">II", content, 16)
    place = 8
    for _ in range(MAX_BLOCKS):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"IDAT":
            return size
        if kind == b"IHDR" and place > 8:
            return None  # decoders would take the second one
        place += 12 + length
    return None


def _read_jpeg(content: bytes) -> Size | None:
    size: Size | None = None
    place = 2
    for _ in range(MAX_BLOCKS):
        while content[place + 1] == 0xFF:  # padding
            place += 1
            if place > MAX_BLOCKS and content[place - MAX_BLOCKS : place].count(0xFF) == MAX_BLOCKS:
                return None
        lead, marker = content[place], content[place + 1]
        if lead != 0xFF or marker == _JPEG_START_OF_SCAN:
            is_bounded = content.count(b"\xff\xda", place) <= MAX_SCANS
            return size if lead == 0xFF and is_bounded else None
        place += 2
        if marker in _JPEG_WITHOUT_LENGTH:
            continue
        if marker in _JPEG_SIZES:
            if size is not None:
                return None
            height, width = struct.unpack_from(">HH", content, place + 3)
            size = width, height
        (length,) = struct.unpack_from(">H", content, place)
        place += length
    return None


def _read_gif(content: bytes) -> Size | None:
    """Return the size that holds both the screen and its first frame."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    for _ in range(MAX_BLOCKS):
        kind = content[place]
        if kind == 0x2C:
            left, top, across, down = struct.unpack_from("<HHHH", content, place + 1)
            return max(width, left + across), max(height, top + down)
        if kind != 0x21:
            return None
        place += 2
        for _ in range(MAX_BLOCKS):
            length = content[place]
            place += 1 + length
            if length == 0:
                break
        else:
            return None
    return None


def _read_bmp(content: bytes) -> Size | None:
    (header_size,) = struct.unpack_from("<I", content, 14)
    if header_size == 12:
        size: Size = struct.unpack_from("<HH", content, 18)
        return size
    width, height, _, _, compression = struct.unpack_from("<iiHHI", content, 18)
    return (width, abs(height)) if compression in _UNCOMPRESSED_BMP else None


def _read_webp(content: bytes) -> Size | None:
    if content[8:12] != b"WEBP":
        return None
    kind = content[12:16]
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(content[24:27], "little"),
            1 + int.from_bytes(content[27:30], "little"),
        )
    if kind == b"VP8L" and content[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _read_tiff(content: bytes) -> Size | None:
    order = "<" if content[:1] == b"I" else ">"
    (place,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, place)
    if count > MAX_BLOCKS:
        return None
    sizes: dict[int, int] = {}
    for number in range(count):
        entry = place + 2 + 12 * number
        tag, kind, values = struct.unpack_from(order + "HHI", content, entry)
        if values > MAX_TIFF_VALUES and kind not in _TIFF_BYTES:
            return None
        if tag not in (_TIFF_WIDTH, _TIFF_HEIGHT):
            continue
        if tag in sizes or values != 1 or kind not in (3, 4):
            return None
        (sizes[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), content, entry + 8)
    if content.count(b"\xff\xda") > MAX_SCANS:  # strips may be JPEGs
        return None
    return sizes.get(_TIFF_WIDTH, 0), sizes.get(_TIFF_HEIGHT, 0)


_READERS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _read_png),
    (b"\xff\xd8\xff", _read_jpeg),
    (b"RIFF", _read_webp),
    (b"GIF87a", _read_gif),
    (b"GIF89a", _read_gif),
    (b"BM", _read_bmp),
    (b"II*\0", _read_tiff),
    (b"MM\0*", _read_tiff),
)
