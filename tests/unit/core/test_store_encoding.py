"""Values as PostgreSQL stores them, the division of jobs into chunks, and partitions."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.partitions import Month

from slipway_core.store.postgres.float_array import decode_float_array, encode_float_array
from slipway_core.store.postgres.jsonb import has_nul, storable_json, storable_text
from slipway_core.store.schema.partitions import start_of_month
from slipway_core.store.splitting import MAX_ATTEMPTS, plan_split
from slipway_core.store.submission import ChunkSizes, SubmissionLimits

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=400))
def test_vectors_are_encoded_and_decoded_without_loss(values: list[float]) -> None:
    vector = np.array(values, dtype="<f4").tobytes()
    assert decode_float_array(encode_float_array(vector)) == vector


@given(JSON_VALUES)
def test_storable_json_is_valid_jsonb(value: object) -> None:
    encoded = storable_json(value)
    assert not has_nul(encoded.decode())
    assert "\0" not in json.dumps(json.loads(encoded), ensure_ascii=False)


@given(JSON_VALUES.filter(lambda value: "\\u0000" not in json.dumps(value)))
def test_json_that_can_be_stored_is_not_changed(value: object) -> None:
    assert json.loads(storable_json(value)) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [(r'"\u0000"', True), (r'"\\u0000"', False), (r'"\\\u0000"', True), ('"plain"', False)],
)
def test_only_an_escaped_nul_is_detected(text: str, expected: bool) -> None:
    assert has_nul(text) is expected


def test_nul_and_surrogates_in_texts_are_replaced() -> None:
    assert storable_text("a\0b\ud800") == "a\ufffdb?"


@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=300))
def test_chunks_contain_all_inputs_and_respect_both_limits(tokens: list[int]) -> None:
    sizes = ChunkSizes(SubmissionLimits(chunk_tokens=16_384, chunk_items=20, max_items=1_000))
    for cost in tokens:
        sizes.add(cost, 1)
    assert sum(sizes.counts) == len(tokens)
    first = 0
    for count in sizes.counts:
        chunk = tokens[first : first + count]
        assert 1 <= count <= 20
        assert count == 1 or sum(chunk) <= 16_384
        first += count


def test_chunks_of_large_inputs_are_limited_in_bytes() -> None:
    sizes = ChunkSizes(SubmissionLimits(chunk_tokens=16_384, chunk_items=20, max_items=1_000))
    for megabytes in (20, 12, 1, 40, 1, 1):
        sizes.add(1, megabytes * 1024 * 1024)
    assert sizes.counts == [2, 1, 1, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 50, 1_000])
def test_an_input_that_crashes_engines_is_isolated_before_the_last_attempt(count: int) -> None:
    size, attempts = count, 0
    while attempts < MAX_ATTEMPTS:
        sizes = plan_split(size, attempts)
        assert sum(sizes) == size
        assert min(sizes) >= 1
        size = max(sizes)
        attempts += 1
    assert size == 1


def test_a_chunk_is_not_split_after_one_crash() -> None:
    assert plan_split(1_000, 0) == plan_split(1_000, 1) == [1_000]


@pytest.mark.parametrize(
    ("month", "added", "expected"),
    [(Month(2026, 11), 1, Month(2026, 12)), (Month(2026, 12), 1, Month(2027, 1)),
     (Month(2026, 1), -1, Month(2025, 12)), (Month(2026, 11), 14, Month(2028, 1))],
)  # fmt: skip
def test_months_are_added(month: Month, added: int, expected: Month) -> None:
    assert month.plus(added) == expected


def test_months_are_in_utc() -> None:
    moment = datetime.fromisoformat("2026-12-31T23:30:00-02:00")
    assert Month.of(moment) == Month(2027, 1)
    assert Month.of(moment).start == datetime(2027, 1, 1, tzinfo=UTC)
    assert start_of_month(moment) == datetime(2027, 1, 1, tzinfo=UTC)
