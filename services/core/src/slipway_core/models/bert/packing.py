"""Lays texts end to end in rows of one length, so that almost no computed token is padding.

Pure arithmetic on lengths, without torch. A row holds several whole texts; a mask keeps them apart.
The number of different shapes is bounded (lengths are multiples of a step, pieces are small),
because oneDNN keeps compiled kernels for each shape it meets: with steps of 8 for all rows an
engine grows by 70 MB more than with these, and computes no faster.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

LENGTH_STEP = 16
SINGLE_ROW_STEP = 8  # a text alone: its row is all that is computed
PIECE_TOKENS = 512
END_TO_END_TOKENS = 16_384  # a GPU is busy long enough with these; their memory is some 300 MB
# Texts of one class share pieces, so that a long text does not make rows long for short ones.
CLASS_LIMITS = (48, 128, 256)
FEWEST_CLASS_TOKENS = 160
# The cost of a computed token is about 1 + length / ROW_COST: attention grows with the row.
ROW_COST = 800
MOST_LENGTHS_TRIED = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """Texts computed together: `rows` lists of indices of texts, each row of `length` tokens."""

    length: int
    rows: tuple[tuple[int, ...], ...]

    @property
    def texts(self) -> list[int]:
        """The indices of its texts, row by row."""
        return [index for row in self.rows for index in row]

    @property
    def tokens(self) -> int:
        """Computed tokens, padding included."""
        return self.length * len(self.rows)


def pack(lengths: Sequence[int]) -> list[Piece]:
    """Pieces that together hold every text once; `lengths` are at least 1.

    A piece has at most PIECE_TOKENS tokens, or is one row when a single text is longer than that.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    pieces: list[Piece] = []
    for group in _classes(order, lengths):
        for part in _cut(group, lengths):
            pieces.extend(_rows(part, lengths))
    return pieces


def pack_end_to_end(lengths: Sequence[int]) -> list[Piece]:
    """Pieces of a single row without padding, for devices that need no rows of one length.

    A piece has at most END_TO_END_TOKENS tokens, or is a single text that is longer than that.
    """
    pieces: list[Piece] = []
    row: list[int] = []
    tokens = 0
    for index, length in enumerate(lengths):
        if row and tokens + length > END_TO_END_TOKENS:
            pieces.append(Piece(tokens, (tuple(row),)))
            row, tokens = [], 0
        row.append(index)
        tokens += length
    return [*pieces, Piece(tokens, (tuple(row),))] if row else pieces


def _classes(order: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """The texts, longest first, split by class; a class of few tokens joins the one before it."""
    groups: list[list[int]] = []
    tokens, last = 0, None
    for index in order:
        kind = bisect_left(CLASS_LIMITS, lengths[index])
        if kind != last and (not groups or tokens >= FEWEST_CLASS_TOKENS):
            groups.append([])
            tokens = 0
        last = kind
        groups[-1].append(index)
        tokens += lengths[index]
    if len(groups) > 1 and tokens < FEWEST_CLASS_TOKENS:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _cut(group: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """The group in parts of about equal tokens, each with room for padding."""
    total = sum(lengths[index] for index in group)
    count = math.ceil(total / (PIECE_TOKENS * 0.94))
    parts: list[list[int]] = [[]]
    done = 0
    for index in group:
        if parts[-1] and done >= total * len(parts) / count:
            parts.append([])
        parts[-1].append(index)
        done += lengths[index]
    return parts


def _rows(part: list[int], lengths: Sequence[int]) -> list[Piece]:
    """The part as one piece with the cheapest row length, or as several where it does not fit."""
    if len(part) == 1:
        return [Piece(_round_up(lengths[part[0]], SINGLE_ROW_STEP), (tuple(part),))]
    longest = _round_up(lengths[part[0]], LENGTH_STEP)
    total = sum(lengths[index] for index in part)
    best: list[list[int]] = []
    best_length, best_cost = longest, math.inf
    for length in range(longest, longest + MOST_LENGTHS_TRIED * LENGTH_STEP, LENGTH_STEP):
        token_cost = 1 + length / ROW_COST
        if math.ceil(total / length) * length * token_cost >= best_cost:
            continue
        rows = _fill(part, lengths, length)
        if (cost := len(rows) * length * token_cost) < best_cost:
            best, best_length, best_cost = rows, length, cost
        if len(rows) == 1:
            break
    most = max(1, PIECE_TOKENS // best_length)
    return [
        Piece(best_length, tuple(map(tuple, best[start : start + most])))
        for start in range(0, len(best), most)
    ]


def _fill(part: list[int], lengths: Sequence[int], length: int) -> list[list[int]]:
    """Rows by best fit: each text, longest first, goes where it leaves the least room."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens free, row), ascending
    for index in part:
        size = lengths[index]
        at = bisect_left(room, (size, 0))
        if at == len(room):
            rows.append([index])
            free, row = length - size, len(rows) - 1
        else:
            free, row = room.pop(at)
            rows[row].append(index)
            free -= size
        if free:
            insort(room, (free, row))
    return rows


def _round_up(length: int, step: int) -> int:
    return -(-length // step) * step
