"""The size of an image is read from its header, as the decoder reads it, and within bounds."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slipway_core.inputs.image_header import MAX_SCANS, ImageLimits, read_image_size
from slipway_core.models.exported.images import decode_image

LARGE_BYTES = 9 * 1024 * 1024
MAX_SECONDS = 0.05
LIMITS = ImageLimits()


def encode(kind: str, mode: str = "RGB", size: tuple[int, int] = (31, 17), **options: Any) -> bytes:
    content = io.BytesIO()
    Image.new(mode, size).save(content, kind, **options)
    return content.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def animation(kind: str) -> bytes:
    frames = [Image.new("RGB", (31, 17), color) for color in ("red", "blue")]
    content = io.BytesIO()
    frames[0].save(content, kind, save_all=True, append_images=frames[1:])
    return content.getvalue()


def with_thumbnail() -> bytes:
    """Return a JPEG with EXIF, and with a colour profile in several segments."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode("JPEG", exif=exif, icc_profile=bytes(200_000))


@pytest.mark.parametrize(
    "content",
    [
        encode("PNG"), encode("PNG", "RGBA"), encode("PNG", "1"), encode("PNG", "I;16"),
        encode("JPEG"), encode("JPEG", "L"), encode("JPEG", "CMYK"), with_thumbnail(),
        encode("JPEG", progressive=True), encode("JPEG", size=(1, 16_000)),
        encode("WEBP"), encode("WEBP", lossless=True), encode("WEBP", "RGBA"),
        encode("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"), animation("WEBP"),
        encode("GIF", "P"), encode("GIF", "L", comment=b"x" * 600), animation("GIF"),
        encode("BMP"), encode("BMP", "1"), encode("BMP", "RGBA"), encode("BMP", "L"),
        encode("TIFF"), encode("TIFF", "L", compression="tiff_lzw"), animation("TIFF"),
        encode("TIFF", "RGB", compression="tiff_deflate", size=(2_000, 3_000)),
    ],
)  # fmt: skip
def test_the_size_is_that_of_the_decoder(content: bytes) -> None:
    assert read_image_size(content) == Image.open(io.BytesIO(content)).size
    decode_image(content, "RGB", LIMITS)


def test_a_picture_may_be_turned_by_its_header() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "TIFF", "PNG", "WEBP"):
        assert decode_image(encode(kind, exif=exif), "RGB", LIMITS).size == (17, 31)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "JPEG2000", "AVIF", "TGA", "PCX", "PDF", "EPS"])
def test_other_formats_are_not_accepted(kind: str) -> None:
    assert read_image_size(encode(kind)) is None
    with pytest.raises(ValueError, match="must be one of PNG, JPEG, WEBP, GIF, BMP, TIFF"):
        decode_image(encode(kind), "RGB", LIMITS)


def hostile_headers() -> dict[str, bytes]:
    """Return images of few pixels, for which a decoder takes seconds or gigabytes."""
    gif, jpeg, png, bmp = encode("GIF", "P"), encode("JPEG"), encode("PNG"), encode("BMP", "P")
    frame, scan = gif.index(b"\x2c"), jpeg.index(b"\xff\xda")
    comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * (LARGE_BYTES // 256) + b"\0"
    segment = b"\xff\xe9\x00\x02"
    tiff_entries = b"".join(struct.pack("<HHII", 900, 3, 1, 1) for _ in range(65_535))
    offsets = struct.pack("<HHII", 273, 4, 2_000_000, 8)
    return {
        "gif comment": gif[:frame] + comment + gif[frame:],
        "gif blocks": gif[:frame] + b"\x21\xfe\x01x\0" * (LARGE_BYTES // 5) + gif[frame:],
        "jpeg segments": jpeg[:2] + segment * (LARGE_BYTES // 4) + jpeg[2:],
        "jpeg segments before the scan": jpeg[:scan] + segment * (LARGE_BYTES // 4) + jpeg[scan:],
        "jpeg padding": jpeg[:2] + b"\xff" * LARGE_BYTES + jpeg[2:],
        "jpeg scans": jpeg[:-2] + jpeg[scan:-2] * (MAX_SCANS + 1) + jpeg[-2:],
        "png chunks": png[:33] + chunk(b"tIME", b"") * (LARGE_BYTES // 12) + png[33:],
        "png with two headers": png[:33]
        + chunk(b"IHDR", struct.pack(">II", 9**4, 9**4))
        + png[33:],
        "bmp of runs": bmp[:30] + struct.pack("<I", 1) + bmp[34:] + b"\1\5" * (LARGE_BYTES // 2),
        "tiff entries": b"II*\0\x08\0\0\0\xff\xff" + tiff_entries,
        "tiff strips": b"II*\0\x08\0\0\0\x01\0" + offsets + bytes(8),
        "tiff outside": b"II*\0\xff\xff\xff\xff",
        "cut": png[:20],
        "no size": png[:16] + bytes(8) + png[24:],
    }


@pytest.mark.parametrize(("name", "content"), hostile_headers().items(), ids=hostile_headers())
def test_hostile_headers_are_rejected_at_once(name: str, content: bytes) -> None:
    started = time.process_time()
    assert read_image_size(content) is None
    assert time.process_time() - started < MAX_SECONDS


@pytest.mark.parametrize(
    ("size", "setting"),
    [
        ((1, 40_000_000), "SLIPWAY_MAX_IMAGE_SIDE"),
        ((16_385, 1), "SLIPWAY_MAX_IMAGE_SIDE"),
        ((5_001, 5_000), "SLIPWAY_MAX_IMAGE_PIXELS"),
        ((5_000, 5_000), ""),
        ((16_384, 1_500), ""),
    ],
)
def test_both_limits_name_their_setting(size: tuple[int, int], setting: str) -> None:
    problem = LIMITS.find_excess(size)
    assert setting in problem
    assert bool(problem) == bool(setting)


def test_an_image_of_another_size_than_stated_is_not_decoded() -> None:
    content = bytearray(encode("WEBP", "RGBA"))
    assert content[12:16] == b"VP8X"
    content[24:30] = bytes(6)  # a canvas of one pixel
    with pytest.raises(ValueError, match=r"states two sizes|cannot be decoded"):
        decode_image(bytes(content), "RGB", LIMITS)


STARTS = [
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"GIF89a", b"BM",
    b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"",
]  # fmt: skip


@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_random_bytes_have_a_size_or_none(start: bytes, rest: bytes) -> None:
    size = read_image_size(start + rest)
    assert size is None or min(size) > 0
