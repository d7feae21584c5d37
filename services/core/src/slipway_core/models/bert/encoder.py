"""The encoder's forward pass over packed texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from slipway_core.models.bert.attention import attend, attend_varlen, supports_varlen
from slipway_core.models.bert.config import EncoderConfig
from slipway_core.models.bert.linear import make_linear
from slipway_core.models.bert.slots import Slots
from slipway_core.models.bert.weights import Affine, EncoderWeights, LayerWeights


class _Norm(nn.Module):
    def __init__(self, affine: Affine, epsilon: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = affine.weight.to(dtype)
        self.bias = affine.bias.to(dtype)
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


class _Layer(nn.Module):
    def __init__(
        self, weights: LayerWeights, config: EncoderConfig, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()

        def norm(affine: Affine) -> _Norm:
            return _Norm(_moved(affine, device), config.layer_norm_eps, dtype)

        self.heads = config.num_attention_heads
        self.qkv = make_linear(weights.qkv, dtype, device)
        self.output = make_linear(weights.output, dtype, device)
        self.output_norm = norm(weights.output_norm)
        self.up = make_linear(weights.up, dtype, device, config.activation)
        self.down = make_linear(weights.down, dtype, device)
        self.down_norm = norm(weights.down_norm)

    def forward(
        self, hidden: Tensor, slots: Slots, mask: Tensor | None, offsets: Tensor | None
    ) -> Tensor:
        qkv = self.qkv(hidden)
        if offsets is not None:
            context = attend_varlen(qkv, offsets, slots.max_length, self.heads)
        else:
            rows, length = slots.ids.shape
            context = attend(qkv, rows, length, self.heads, mask)
        hidden = self.output_norm(self.output.plus(context, hidden))
        output: Tensor = self.down_norm(self.down.plus(self.up.activated(hidden), hidden))
        return output


class Encoder(nn.Module):
    """An encoder in one precision on one device."""

    def __init__(
        self,
        weights: EncoderWeights,
        config: EncoderConfig,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        # Embedded and normalised in float32 whatever the precision: that costs next to nothing.
        self.words = weights.words.to(device)
        self.positions = weights.positions.to(device)
        self.embedding_norm = _Norm(
            _moved(weights.embedding_norm, device), config.layer_norm_eps, torch.float32
        )
        self.layers = nn.ModuleList(
            _Layer(layer, config, dtype, device) for layer in weights.layers
        )
        self.unpadded = supports_varlen(device, dtype, config.head_size)
        """Whether it takes texts as a single row without padding, and needs no mask for them."""

    def forward(self, slots: Slots) -> Tensor:
        """Return the last hidden state of each slot, [rows * length, hidden], in `dtype`."""
        hidden: Tensor = functional.embedding(slots.ids.view(-1), self.words)
        hidden = hidden.add_(functional.embedding(slots.positions.view(-1), self.positions))
        hidden = self.embedding_norm(hidden).to(self.dtype)
        mask: Tensor | None = None
        offsets: Tensor | None = None
        if self.unpadded:
            offsets = functional.pad(slots.sizes.cumsum(0), (1, 0)).to(torch.int32)
        elif not slots.one_text_per_row:
            mask = _block_mask(slots.owners, hidden)
        for layer in self.layers:
            hidden = layer(hidden, slots, mask, offsets)
        return hidden


def _block_mask(owners: Tensor, like: Tensor) -> Tensor:
    """Return the mask for attention scores, [rows, 1, length, length].

    It is 0 within a text and -inf between texts. Padding attends to itself, so no row is all -inf.
    """
    differs = owners[:, None, :, None] != owners[:, None, None, :]
    mask = torch.zeros(differs.shape, dtype=like.dtype, device=like.device)
    return mask.masked_fill_(differs, float("-inf"))


def _moved(affine: Affine, device: torch.device) -> Affine:
    return Affine(affine.weight.to(device), affine.bias.to(device))
