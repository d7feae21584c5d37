"""Computes the vectors of texts: packs their tokens and runs the encoder and its head."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import structlog
import torch
from torch import Tensor, nn

from slipway_core.models.bert.encoder import Encoder
from slipway_core.models.bert.packing import pack, pack_unpadded
from slipway_core.models.bert.slots import Slots, TokenIds, lay_out

log = structlog.get_logger("slipway.engine")

Vectors = npt.NDArray[np.float32]
"""The vectors of texts, [texts, width], or one of them, [width]."""


class _Forward(nn.Module):
    """The encoder and its head; returns [texts, width] for a piece."""

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, slots: Slots) -> Tensor:
        vectors: Tensor = self.head(self.encoder(slots), slots)
        return vectors


def compiled(module: nn.Module) -> nn.Module:
    """Return the module as TorchScript, or as it is when torch cannot compile it.

    TorchScript runs without the Python interpreter, so that lanes do not wait for its lock between
    operations.
    """
    try:
        with warnings.catch_warnings():
            # torch advises torch.compile, which needs a C++ compiler and half a minute.
            warnings.simplefilter("ignore", DeprecationWarning)
            # Kernels that torch would fuse for a GPU during the first requests are no faster.
            torch._C._jit_set_texpr_fuser_enabled(False)
            scripted: nn.Module = torch.jit.script(module)
    except Exception as error:  # torch raises many kinds of errors for what it cannot compile
        log.warning("the forward pass is interpreted, which is slower", cause=str(error)[:500])
        return module
    return scripted


class Embedder:
    """An encoder with a head that returns `width` numbers for each text."""

    def __init__(self, encoder: Encoder, head: nn.Module, *, width: int, pad_id: int) -> None:
        self._forward = compiled(_Forward(encoder, head).eval())
        self._pack = pack_unpadded if encoder.unpadded else pack
        self._device = encoder.words.device
        self._width = width
        self._pad_id = pad_id

    def __call__(self, texts: Sequence[TokenIds]) -> Vectors:
        """Return the vectors of texts, [texts, width].

        Memory depends on the size of a piece, not on the number of texts.
        """
        vectors = np.empty((len(texts), self._width), dtype=np.float32)
        with torch.inference_mode():
            for piece in self._pack([len(text) for text in texts]):
                slots = lay_out(piece, texts, self._pad_id, self._device)
                vectors[piece.texts] = self._forward(slots).cpu().numpy()
        return vectors
