"""From the vectors of tokens to one vector for each text, in float32 whatever came in."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from slipway_core.runtime.bert.encoder import Slots


def mean_of_tokens(hidden: Tensor, slots: Slots) -> Tensor:
    """The mean over each text's tokens, [texts, hidden], of hidden [rows * length, hidden]."""
    count = len(slots.texts)
    owners = slots.owners.view(-1).to(hidden.device)
    sums = torch.zeros(count + 1, hidden.shape[1], device=hidden.device)
    sums.index_add_(0, owners, hidden.float())
    sizes = torch.bincount(owners, minlength=count + 1)[:count]
    return sums[:count] / sizes[:, None]


def first_tokens(hidden: Tensor, slots: Slots) -> Tensor:
    """The vector of each text's first token, [texts, hidden]."""
    return hidden.index_select(0, slots.starts.to(hidden.device)).float()


def normalize(vectors: Tensor) -> Tensor:
    """Vectors of length 1."""
    return functional.normalize(vectors, dim=1)
