"""Texts in, vectors out: tokens, pieces, the encoder and its head put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slipway_core.runtime.bert.encoder import Encoder, Slots, TokenIds, lay_out
from slipway_core.runtime.bert.packing import pack

Vectors = npt.NDArray[np.float32]
Head = Callable[[Tensor, Slots], Tensor]  # hidden states of the slots -> [texts, width]


class Embedder:
    """An encoder with the head that makes one row of numbers of each text."""

    def __init__(self, encoder: Encoder, head: Head, *, width: int, pad_id: int) -> None:
        self.encoder = encoder
        self._head = head
        self._width = width
        self._pad_id = pad_id

    def __call__(self, texts: Sequence[TokenIds]) -> Vectors:
        """[texts, width]. Memory is bounded by the size of a piece, not by the number of texts."""
        vectors = np.empty((len(texts), self._width), dtype=np.float32)
        with torch.inference_mode():
            for piece in pack([len(text) for text in texts]):
                slots = lay_out(piece, texts, self._pad_id)
                vectors[list(slots.texts)] = self._head(self.encoder(slots), slots).cpu().numpy()
        return vectors
