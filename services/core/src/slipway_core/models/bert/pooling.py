"""Pools the vectors of tokens to one vector for each text, in float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from slipway_core.models.bert.slots import Slots


class PoolingHead(nn.Module):
    """Returns the mean over each text's tokens, or the vector of its first token."""

    def __init__(self, *, mean: bool, normalize: bool) -> None:
        """With `normalize` vectors are scaled to length 1."""
        super().__init__()
        self.mean = mean
        self.normalize = normalize

    def forward(self, hidden: Tensor, slots: Slots) -> Tensor:
        """Return vectors [texts, hidden] for hidden states [rows * length, hidden]."""
        pooled = mean_of_tokens(hidden, slots) if self.mean else first_tokens(hidden, slots)
        return functional.normalize(pooled, dim=1) if self.normalize else pooled


def mean_of_tokens(hidden: Tensor, slots: Slots) -> Tensor:
    """Return the mean over each text's tokens, [texts, hidden]."""
    count = slots.sizes.shape[0]
    sums = torch.zeros(count + 1, hidden.shape[1], device=hidden.device)
    sums.index_add_(0, slots.owners.view(-1), hidden.float())
    return sums[:count] / slots.sizes[:, None]


def first_tokens(hidden: Tensor, slots: Slots) -> Tensor:
    """Return the vector of each text's first token, [texts, hidden]."""
    return hidden.index_select(0, slots.starts).float()
