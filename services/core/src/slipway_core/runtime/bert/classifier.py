"""The head of a BERT text classifier."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from slipway_core.runtime.bert.encoder import Slots
from slipway_core.runtime.bert.pooling import first_tokens
from slipway_core.runtime.bert.weights import ClassifierWeights


class ClassifierHead:
    """Scores of the classes of each text; the head is small and stays in float32."""

    def __init__(
        self, weights: ClassifierWeights, *, several_labels: bool, device: torch.device
    ) -> None:
        """With `several_labels` each class has a probability of its own, else they sum to 1."""
        self._several_labels = several_labels
        self._pooler, self._classes = (
            (affine.weight.to(device), affine.bias.to(device))
            for affine in (weights.pooler, weights.classes)
        )

    def __call__(self, hidden: Tensor, slots: Slots) -> Tensor:
        """[texts, classes] of hidden states [rows * length, hidden]."""
        pooled = torch.tanh(functional.linear(first_tokens(hidden, slots), *self._pooler))
        logits = functional.linear(pooled, *self._classes)
        return torch.sigmoid(logits) if self._several_labels else torch.softmax(logits, -1)
