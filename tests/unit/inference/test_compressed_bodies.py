"""Bodies with a Content-Encoding: what is unpacked, and within which bounds."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.inference_app import open_app

from slipway_core.errors import MalformedBody
from slipway_inference.http.decompression import MAX_PIECE_BYTES, Decompressor


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def _members(data: bytes) -> bytes:
    return b"".join(gzip.compress(data[start : start + 7]) for start in range(0, len(data), 7))


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "members": ("gzip", _members),
    "x-gzip": ("X-GZIP", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", _raw_deflate),
}
ROUTES = {
    "/predict/text": {"input_text": "four"},
    "/v1/embeddings": {"model": "mini", "input": "four"},
    "/v2/models/mini/infer": {
        "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["four"]}]
    },
}


def _unpack(encoding: str, *chunks: bytes) -> bytes:
    decompressor = Decompressor(encoding)
    content = b"".join(piece for chunk in chunks for piece in decompressor.unpack(chunk))
    decompressor.finish()
    return content


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("encoding", "compress"), CODINGS.values(), ids=list(CODINGS))
async def test_every_route_takes_compressed_bodies(
    route: str, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(json.dumps(ROUTES[route]).encode())
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    async with open_app() as (app, _):
        response = await app.post(route, content=body, headers=headers)
        again = await app.post(route, content=body[:-1], headers=headers)
        junk = await app.post(route, content=body + b"junk", headers=headers)
    assert response.status_code == 200, response.text
    assert (again.status_code, junk.status_code) == (400, 400)


@pytest.mark.parametrize("route", ROUTES)
async def test_other_encodings_are_named(route: str) -> None:
    async with open_app() as (app, _):
        response = await app.post(route, content=b"x", headers={"Content-Encoding": "br"})
    assert response.status_code == 415
    assert "'br'" in response.text


async def test_what_is_unpacked_is_bounded_and_gives_others_turns() -> None:
    body = gzip.compress(b" " * 64_000_000)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with open_app() as (app, _):
        counting = asyncio.create_task(count_turns())
        response = await app.post(
            "/predict/text", content=body, headers={"Content-Encoding": "gzip"}
        )
        counting.cancel()
    assert response.status_code == 413
    assert turns > 100


async def test_many_empty_members_are_rejected() -> None:
    body = gzip.compress(b"") * 100_000
    with pytest.raises(MalformedBody, match="too many"):
        _unpack("gzip", body[:1_000_000])


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=500), size=st.integers(1, 50))
def test_chunks_of_any_size_are_unpacked(coding: str, data: bytes, size: int) -> None:
    encoding, compress = CODINGS[coding]
    body = compress(data) or gzip.compress(b"")
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert _unpack(encoding.lower(), *chunks) == data


@pytest.mark.parametrize("count", [MAX_PIECE_BYTES - 1, MAX_PIECE_BYTES, 1_000_001])
def test_large_content_is_unpacked(count: int) -> None:
    content = b"ab" * count
    assert _unpack("gzip", gzip.compress(content)) == content


@pytest.mark.parametrize("body", [b"", b"\x1f", b"\x1f\x8b", b"plain text"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_not_compressed_is_rejected(body: bytes, encoding: str) -> None:
    with pytest.raises(MalformedBody):
        _unpack(encoding, body)
