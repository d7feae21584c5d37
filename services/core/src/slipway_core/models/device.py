"""Which device a model computes on."""

from __future__ import annotations

import torch

from slipway_core.errors import ModelLoadFailed


def choose_device(asked: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`. Raises ModelLoadFailed for a GPU that is missing."""
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if asked == "cuda" and not torch.cuda.is_available():
        raise ModelLoadFailed(
            "the device cuda was asked for, but torch finds none: set SLIPWAY_DEVICE to cpu or "
            "auto, "
            "or install a torch with CUDA on a machine with a GPU"
        )
    return torch.device(asked)
