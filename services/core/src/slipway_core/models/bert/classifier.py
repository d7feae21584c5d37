"""The head of a BERT text classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from slipway_core.models.bert.pooling import first_tokens
from slipway_core.models.bert.slots import Slots
from slipway_core.models.bert.weights import ClassifierWeights


class ClassifierHead(nn.Module):
    """Computes the scores of all classes for each text. It is small and stays in float32."""

    def __init__(
        self, weights: ClassifierWeights, *, multi_label: bool, device: torch.device
    ) -> None:
        """With `multi_label` each class has an independent probability, else they sum to 1."""
        super().__init__()
        self.multi_label = multi_label
        self.pooler_weight = weights.pooler.weight.to(device)
        self.pooler_bias = weights.pooler.bias.to(device)
        self.classes_weight = weights.classes.weight.to(device)
        self.classes_bias = weights.classes.bias.to(device)

    def forward(self, hidden: Tensor, slots: Slots) -> Tensor:
        """Return scores [texts, classes] for hidden states [rows * length, hidden]."""
        first = first_tokens(hidden, slots)
        pooled = torch.tanh(functional.linear(first, self.pooler_weight, self.pooler_bias))
        logits = functional.linear(pooled, self.classes_weight, self.classes_bias)
        return torch.sigmoid(logits) if self.multi_label else torch.softmax(logits, -1)
