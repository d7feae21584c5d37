"""Texts are packed into rows once and undivided, with little padding and in few shapes."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from slipway_core.models.bert.packing import (
    LENGTH_STEP,
    MAX_PIECE_TOKENS,
    MAX_UNPADDED_TOKENS,
    SINGLE_ROW_STEP,
    pack,
    pack_unpadded,
)

lengths = st.lists(st.integers(1, 1200), max_size=80)


@given(lengths)
def test_each_text_is_in_one_row_and_fits_it(lengths: list[int]) -> None:
    pieces = pack(lengths)
    members = [index for piece in pieces for row in piece.rows for index in row]
    assert sorted(members) == list(range(len(lengths)))
    for piece in pieces:
        assert piece.rows
        assert all(sum(lengths[i] for i in row) <= piece.length for row in piece.rows)


@given(lengths)
def test_a_piece_has_a_maximum_size_or_a_single_row(lengths: list[int]) -> None:
    for piece in pack(lengths):
        assert piece.length % SINGLE_ROW_STEP == 0
        assert piece.tokens <= MAX_PIECE_TOKENS or len(piece.rows) == 1


@given(st.lists(st.integers(1, 40_000), max_size=40))
def test_unpadded_pieces_have_one_row_without_padding(lengths: list[int]) -> None:
    pieces = pack_unpadded(lengths)
    assert [index for piece in pieces for index in piece.texts] == list(range(len(lengths)))
    for piece in pieces:
        assert len(piece.rows) == 1
        assert piece.length == sum(lengths[index] for index in piece.texts)
        assert piece.tokens <= MAX_UNPADDED_TOKENS or len(piece.texts) == 1


def test_many_texts_are_packed_with_little_padding() -> None:
    rng = random.Random(3)
    lengths = [min(256, max(3, round(rng.lognormvariate(3.13, 0.67)))) for _ in range(640)]
    for window in (32, 64, 640):
        computed = sum(
            piece.tokens
            for start in range(0, len(lengths), window)
            for piece in pack(lengths[start : start + window])
        )
        assert sum(lengths) / computed > 0.88


def test_the_number_of_shapes_is_bounded() -> None:
    rng = random.Random(5)
    shapes = set()
    for _ in range(3000):
        count = rng.randint(1, 40)
        for piece in pack([rng.randint(3, 256) for _ in range(count)]):
            shapes.add((len(piece.rows), piece.length))
    assert len(shapes) < 160
    assert len({rows * length for rows, length in shapes}) <= MAX_PIECE_TOKENS // LENGTH_STEP + 16
