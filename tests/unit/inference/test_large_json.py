"""Large JSON is decoded in slices, to what msgspec decodes it to, and within limits."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.inference_app import TABLE_MODEL, open_app

from slipway_core.errors import MalformedBody, PayloadTooLarge
from slipway_inference.http import json_structure, large_json
from slipway_inference.http.json_structure import MAX_DEPTH, Limits, find_structure
from slipway_inference.http.large_json import DEFAULT_LIMITS, decode_large
from slipway_inference.http.large_work import LARGE_BYTES

MEBIBYTE = 1024 * 1024
LIMITS = Limits(10_000, 1_000)
_TEXTS = st.text(alphabet='ab"\\[]{},: \u2028é', max_size=6)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | _TEXTS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(_TEXTS, inner, max_size=6),
    max_leaves=40,
)


@pytest.fixture
def tiny_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut texts after a few characters, so that small examples meet all boundaries."""
    monkeypatch.setattr(large_json, "SLICE_BYTES", 8)
    monkeypatch.setattr(json_structure, "BLOCK_BYTES", 7)


def decoded_or_none(text: bytes) -> Any:
    try:
        return [decode_large(text, LIMITS, "body")]
    except (MalformedBody, msgspec.DecodeError):
        return None


@pytest.mark.usefixtures("tiny_slices")
@given(value=_VALUES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_slices_give_the_value_of_the_whole(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert decode_large(text, LIMITS, "body") == value


@pytest.mark.usefixtures("tiny_slices")
@given(
    value=_VALUES,
    at=st.floats(0, 1),
    inserted=st.sampled_from([b"", *(b"%c" % each for each in b'[]{},:"\\ 0')]),
)
def test_slices_are_valid_exactly_when_the_whole_is(value: Any, at: float, inserted: bytes) -> None:
    text = json.dumps(value).encode()
    place = int(at * len(text))
    text = text[:place] + inserted + text[place + (not inserted) :]
    try:
        expected = [msgspec.json.decode(text)]
    except msgspec.DecodeError:
        expected = None
    assert decoded_or_none(text) == expected


@pytest.mark.parametrize(
    ("unit", "rule"),
    [(b"[],", "lists and objects"), (b"0,", "values"), (b'{"":0},', "lists and objects")],
)
def test_what_would_become_too_many_objects_is_not_decoded(unit: bytes, rule: str) -> None:
    text = b"[" + unit * (16 * MEBIBYTE // len(unit)) + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge, match=rule):
            decode_large(text, DEFAULT_LIMITS, "body")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(text)


def test_deep_nesting_is_not_decoded() -> None:
    allowed = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert len(find_structure(allowed, LIMITS, "body").positions) == 2 * MAX_DEPTH
    with pytest.raises(MalformedBody, match="nested too deeply"):
        find_structure(b"[" * 100_000, DEFAULT_LIMITS, "body")


def test_characters_within_texts_are_no_structure() -> None:
    text = json.dumps(["[[[[{{{{,,,,::::" * 100_000, '\\"\\\\"[' * 100_000]).encode()
    assert decode_large(text, LIMITS, "body") == json.loads(text)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict/tabular", b'{"inputs": [%b[1,2]]}' % (b"[]," * MEBIBYTE), 413),
        ("/predict/tabular", b'{"inputs": [%b[1,2]]}' % (b"[]," * 50_000), 413),
        ("/predict/tabular", b'{"inputs": [[1,2]], "a%b": 0}' % (b"a" * MEBIBYTE), 422),
        ("/predict/tabular", b'{"inputs": [[1,2]], "parameters": {"%b": 0}}' % (b"a" * 9_000), 422),
        ("/predict/tabular", b'{"inputs": [[1,2]%b}' % (b" " * MEBIBYTE), 400),
        ("/predict/tabular", b'{"inputs": %b[[1,2]]}' % (b" " * MEBIBYTE), 200),
        ("/v2/models/table/infer", b'{"inputs": [%b{}]}' % (b"[]," * MEBIBYTE), 413),
    ],
)
async def test_large_bodies_are_answered_in_the_form_of_small_ones(
    path: str, body: bytes, status: int
) -> None:
    async with open_app(TABLE_MODEL) as (client, _):
        response = await client.post(path, content=body)
    assert response.status_code == status, response.text[:500]
    assert len(response.content) < 10_000


async def test_a_small_request_is_answered_while_a_large_one_is_decoded() -> None:
    numbers = b"1.0625," * (2 * MEBIBYTE // 7)
    large = b'{"inputs": [[%b1]]}' % numbers  # a row of too many numbers, which takes its time
    async with open_app(TABLE_MODEL) as (client, _):
        slow = _post(client, large)
        quick = _post(client, b'{"inputs": [[1,2]]}')
        ends = dict([await slow, await quick])
    assert len(large) > LARGE_BYTES
    assert ends[200] < ends[422]


def _post(client: httpx2.AsyncClient, body: bytes) -> Any:
    async def post() -> tuple[int, float]:
        response = await client.post("/predict/tabular", content=body)
        return response.status_code, time.monotonic()

    return asyncio.create_task(post())
