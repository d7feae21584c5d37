"""The encoder's forward pass over rows of texts laid end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from slipway_core.runtime.bert.attention import attend
from slipway_core.runtime.bert.config import EncoderConfig
from slipway_core.runtime.bert.linear import Linear, make_linear
from slipway_core.runtime.bert.packing import Piece
from slipway_core.runtime.bert.weights import Affine, EncoderWeights, LayerWeights

TokenIds = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Slots:
    """A piece as tensors of [rows, length]: token ids, positions, and which text a slot is of.

    `owners` counts the texts of the piece from 0 in the order of `texts` and is `len(texts)` in
    slots of padding; `starts` are the slots of first tokens, counted over all rows.
    """

    ids: Tensor
    positions: Tensor
    owners: Tensor
    starts: Tensor
    texts: tuple[int, ...]


def lay_out(piece: Piece, texts: Sequence[TokenIds], pad_id: int) -> Slots:
    """Put the texts of a piece into its slots; positions start again with each text."""
    shape = (len(piece.rows), piece.length)
    order = tuple(index for row in piece.rows for index in row)
    ids = np.full(shape, pad_id, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    owners = np.full(shape, len(order), dtype=np.int64)
    starts = np.empty(len(order), dtype=np.int64)
    owner = 0
    for row, members in enumerate(piece.rows):
        at = 0
        for index in members:
            text = texts[index]
            end = at + len(text)
            ids[row, at:end] = text
            positions[row, at:end] = np.arange(len(text))
            owners[row, at:end] = owner
            starts[owner] = row * piece.length + at
            at, owner = end, owner + 1
    return Slots(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        owners=torch.from_numpy(owners),
        starts=torch.from_numpy(starts),
        texts=order,
    )


class _Norm:
    def __init__(self, affine: Affine, config: EncoderConfig, dtype: torch.dtype) -> None:
        self._shape = (config.hidden_size,)
        self._weight = affine.weight.to(dtype)
        self._bias = affine.bias.to(dtype)
        self._epsilon = config.layer_norm_eps

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self._shape, self._weight, self._bias, self._epsilon)


class _Layer:
    def __init__(
        self, weights: LayerWeights, config: EncoderConfig, dtype: torch.dtype, device: torch.device
    ) -> None:
        def linear(affine: Affine) -> Linear:
            return make_linear(affine, dtype, device)

        def norm(affine: Affine) -> _Norm:
            moved = Affine(affine.weight.to(device), affine.bias.to(device))
            return _Norm(moved, config, dtype)

        self._heads = config.num_attention_heads
        self._activation = config.activation
        self._qkv = linear(weights.qkv)
        self._output = linear(weights.output)
        self._output_norm = norm(weights.output_norm)
        self._up = linear(weights.up)
        self._down = linear(weights.down)
        self._down_norm = norm(weights.down_norm)

    def __call__(self, hidden: Tensor, shape: tuple[int, int], mask: Tensor | None) -> Tensor:
        context = attend(self._qkv(hidden), shape, self._heads, mask)
        hidden = self._output_norm(self._output.plus(context, hidden))
        inner = self._up.activated(hidden, self._activation)
        return self._down_norm(self._down.plus(inner, hidden))


class Encoder:
    """An encoder in one precision on one device."""

    def __init__(
        self,
        weights: EncoderWeights,
        config: EncoderConfig,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.dtype = dtype
        self.device = device
        # Looked up and normalised in float32, whatever the precision: it costs next to nothing.
        self._words = weights.words.to(device)
        self._positions = weights.positions.to(device)
        norm = weights.embedding_norm
        moved = Affine(norm.weight.to(device), norm.bias.to(device))
        self._embedding_norm = _Norm(moved, config, torch.float32)
        self._layers = [_Layer(layer, config, dtype, device) for layer in weights.layers]

    def __call__(self, slots: Slots) -> Tensor:
        """The last hidden state of each slot, [rows * length, hidden], in the encoder's format."""
        rows, length = slots.ids.shape
        ids, positions = slots.ids.to(self.device), slots.positions.to(self.device)
        hidden = functional.embedding(ids.view(-1), self._words)
        hidden = hidden.add_(functional.embedding(positions.view(-1), self._positions))
        hidden = self._embedding_norm(hidden).to(self.dtype)
        mask = _separate(slots, self.dtype)
        if mask is not None:
            mask = mask.to(self.device)
        for layer in self._layers:
            hidden = layer(hidden, (rows, length), mask)
        return hidden


def _separate(slots: Slots, dtype: torch.dtype) -> Tensor | None:
    """What is added to attention scores, [rows, 1, length, length]: 0 within a text, else -inf.

    None when each row is filled by a single text. Padding sees itself, so no row is all -inf.
    """
    owners = slots.owners
    if len(slots.texts) == owners.shape[0] and bool((owners == owners[:, :1]).all()):
        return None
    apart = owners[:, None, :, None] != owners[:, None, None, :]
    return torch.zeros(apart.shape, dtype=dtype).masked_fill_(apart, float("-inf"))
