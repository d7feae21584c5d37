"""The tensors of a piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slipway_core.models.bert.packing import Piece

TokenIds = npt.NDArray[np.int64]
"""The token ids of one text, [tokens]."""


class Slots(NamedTuple):
    """The tokens of a piece, and the text that each belongs to.

    `ids`, `positions` and `owners` are [rows, length]. `owners` holds the index of the text within
    the piece, or the number of texts for padding. `starts`, [texts], holds the slot of each first
    token, counted over all rows. `sizes`, [texts], holds the tokens of each text, and `max_length`
    the largest of them. With `one_text_per_row` each row is filled by a single text and no mask is
    needed.
    """

    ids: Tensor
    positions: Tensor
    owners: Tensor
    starts: Tensor
    sizes: Tensor
    max_length: int
    one_text_per_row: bool


def lay_out(piece: Piece, texts: Sequence[TokenIds], pad_id: int, device: torch.device) -> Slots:
    """Put the texts of a piece into slots. Positions start at 0 in each text."""
    count, slots = sum(map(len, piece.rows)), piece.tokens
    # One array for all numbers, so that a GPU gets them in one copy.
    numbers = np.zeros(3 * slots + 2 * count, dtype=np.int64)
    ids, positions, owners = numbers[: 3 * slots].reshape(3, slots)
    starts, sizes = numbers[3 * slots :].reshape(2, count)
    ids.fill(pad_id)
    owners.fill(count)
    owner = 0
    for row, members in enumerate(piece.rows):
        at = row * piece.length
        for index in members:
            text = texts[index]
            end = at + len(text)
            ids[at:end] = text
            positions[at:end] = np.arange(len(text))
            owners[at:end] = owner
            starts[owner], sizes[owner] = at, len(text)
            at, owner = end, owner + 1
    moved = _move(torch.from_numpy(numbers), device)
    by_slot = moved[: 3 * slots].view(3, len(piece.rows), piece.length)
    by_text = moved[3 * slots :].view(2, count)
    return Slots(
        ids=by_slot[0],
        positions=by_slot[1],
        owners=by_slot[2],
        starts=by_text[0],
        sizes=by_text[1],
        max_length=int(sizes.max()),
        one_text_per_row=count == len(piece.rows) and int(sizes.sum()) == slots,
    )


def _move(numbers: Tensor, device: torch.device) -> Tensor:
    """Move an array to a GPU from pinned memory, so that the host does not wait for the copy."""
    if device.type == "cpu":
        return numbers
    return numbers.pin_memory().to(device, non_blocking=True)
