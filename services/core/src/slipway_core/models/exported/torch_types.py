"""The tensor datatypes as torch has them."""

from __future__ import annotations

import numpy as np
import torch

from slipway_core.package.datatypes import NUMPY_TYPES, Datatype

TORCH_TYPES: dict[Datatype, torch.dtype] = {
    name: torch.from_numpy(np.empty(0, dtype=kind)).dtype for name, kind in NUMPY_TYPES.items()
}
