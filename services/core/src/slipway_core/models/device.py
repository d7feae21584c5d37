"""The device that a model computes on."""

from __future__ import annotations

import torch

from slipway_core.errors import ModelLoadFailed


def choose_device(requested: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`. Raises ModelLoadFailed without a GPU."""
    if requested == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if requested == "cuda" and not torch.cuda.is_available():
        raise ModelLoadFailed(
            "SLIPWAY_DEVICE is cuda, but torch finds no GPU: set it to cpu or auto, "
            "or install torch with CUDA on a machine with a GPU"
        )
    return torch.device(requested)
