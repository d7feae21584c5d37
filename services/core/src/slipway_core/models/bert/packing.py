"""Packs texts into rows of equal length, so that few computed tokens are padding.

Pure arithmetic on lengths, without torch. A row holds several complete texts, separated by a mask.
The number of different shapes is limited (lengths are multiples of a step, pieces are small),
because oneDNN keeps compiled kernels for each shape: with a step of 8 for all rows an engine uses
70 MB more and is no faster.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

LENGTH_STEP = 16  # row lengths are multiples of it, in tokens
SINGLE_ROW_STEP = 8  # the same for a piece of a single text, which computes nothing else
MAX_PIECE_TOKENS = 512
MAX_UNPADDED_TOKENS = 16_384  # enough to keep a GPU busy, in about 300 MB of its memory
# Texts of one length class share pieces, so that a long text does not lengthen rows of short ones.
CLASS_LIMITS = (48, 128, 256)
MIN_CLASS_TOKENS = 160
# A computed token costs about 1 + length / ROW_COST, as attention grows with the row length.
ROW_COST = 800
MAX_LENGTHS_TRIED = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """Texts computed together. `rows` holds indices of texts; each row has `length` tokens."""

    length: int
    rows: tuple[tuple[int, ...], ...]

    @property
    def texts(self) -> list[int]:
        """The indices of all texts, row by row."""
        return [index for row in self.rows for index in row]

    @property
    def tokens(self) -> int:
        """The computed tokens, including padding."""
        return self.length * len(self.rows)


def pack(lengths: Sequence[int]) -> list[Piece]:
    """Pack texts of the given lengths, each at least 1, into pieces that hold every text once.

    A piece has at most MAX_PIECE_TOKENS tokens, or is one row with a single longer text.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    pieces: list[Piece] = []
    for group in _classes(order, lengths):
        for part in _cut(group, lengths):
            pieces.extend(_rows(part, lengths))
    return pieces


def pack_unpadded(lengths: Sequence[int]) -> list[Piece]:
    """Pack texts into pieces of a single row without padding, for `attend_varlen`.

    A piece has at most MAX_UNPADDED_TOKENS tokens, or is a single longer text.
    """
    pieces: list[Piece] = []
    row: list[int] = []
    tokens = 0
    for index, length in enumerate(lengths):
        if row and tokens + length > MAX_UNPADDED_TOKENS:
            pieces.append(Piece(tokens, (tuple(row),)))
            row, tokens = [], 0
        row.append(index)
        tokens += length
    return [*pieces, Piece(tokens, (tuple(row),))] if row else pieces


def _classes(order: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Split texts, longest first, by length class; a class with few tokens joins the one before."""
    groups: list[list[int]] = []
    tokens, last = 0, None
    for index in order:
        kind = bisect_left(CLASS_LIMITS, lengths[index])
        if kind != last and (not groups or tokens >= MIN_CLASS_TOKENS):
            groups.append([])
            tokens = 0
        last = kind
        groups[-1].append(index)
        tokens += lengths[index]
    if len(groups) > 1 and tokens < MIN_CLASS_TOKENS:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _cut(group: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut a group into parts of about equal tokens, each with room for padding."""
    total = sum(lengths[index] for index in group)
    count = math.ceil(total / (MAX_PIECE_TOKENS * 0.94))
    parts: list[list[int]] = [[]]
    done = 0
    for index in group:
        if parts[-1] and done >= total * len(parts) / count:
            parts.append([])
        parts[-1].append(index)
        done += lengths[index]
    return parts


def _rows(part: list[int], lengths: Sequence[int]) -> list[Piece]:
    """Pack a part into rows of the cheapest length: one piece, or several if it does not fit."""
    if len(part) == 1:
        return [Piece(_round_up(lengths[part[0]], SINGLE_ROW_STEP), (tuple(part),))]
    longest = _round_up(lengths[part[0]], LENGTH_STEP)
    total = sum(lengths[index] for index in part)
    best: list[list[int]] = []
    best_length, best_cost = longest, math.inf
    for length in range(longest, longest + MAX_LENGTHS_TRIED * LENGTH_STEP, LENGTH_STEP):
        token_cost = 1 + length / ROW_COST
        if math.ceil(total / length) * length * token_cost >= best_cost:
            continue
        rows = _fill(part, lengths, length)
        if (cost := len(rows) * length * token_cost) < best_cost:
            best, best_length, best_cost = rows, length, cost
        if len(rows) == 1:
            break
    rows_per_piece = max(1, MAX_PIECE_TOKENS // best_length)
    return [
        Piece(best_length, tuple(map(tuple, best[start : start + rows_per_piece])))
        for start in range(0, len(best), rows_per_piece)
    ]


def _fill(part: list[int], lengths: Sequence[int], length: int) -> list[list[int]]:
    """Fill rows by best fit: each text, longest first, goes where it leaves the least room."""
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
