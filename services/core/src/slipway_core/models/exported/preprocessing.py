"""What turns Items into the arrays that an exported model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slipway_core.inputs.items import Item
from slipway_core.package.datatypes import NUMPY_TYPES
from slipway_core.package.manifest import TensorSpec


@dataclass(frozen=True)
class Encoded:
    """One input as arrays, one for each of the model's inputs, without the batch dimension."""

    arrays: tuple[npt.NDArray[Any], ...]
    tokens: int = 1


@dataclass(frozen=True)
class Refused:
    """Why an input cannot be encoded, in words for the caller."""

    reason: str


class Encoder(Protocol):
    """One for each modality. It encodes a whole batch, because texts are padded together."""

    def encode(self, items: Sequence[Item]) -> list[Encoded | Refused]:
        """One result for each item, in order."""


class RowEncoder:
    """Rows of numbers, as `inputs/rows.py` checked them."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._specs = specs

    def encode(self, items: Sequence[Item]) -> list[Encoded | Refused]:
        """Arrays of the declared datatypes."""
        return [Encoded(tuple(self._arrays(item.value))) for item in items]

    def _arrays(self, value: Any) -> list[npt.NDArray[Any]]:
        if len(self._specs) == 1:
            return [np.asarray(value, dtype=NUMPY_TYPES[self._specs[0].datatype])]
        return [
            np.asarray(value[spec.name], dtype=NUMPY_TYPES[spec.datatype]) for spec in self._specs
        ]
