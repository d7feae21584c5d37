"""Converts Items to the arrays that an exported model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from slipway_core.inputs.items import Item, ItemFailure
from slipway_core.package.datatypes import NUMPY_TYPES
from slipway_core.package.manifest import TensorSpec


@dataclass(frozen=True)
class PreparedInput:
    """One input as arrays, one for each input of the model, without the batch dimension.

    `tokens` is its cost.
    """

    arrays: tuple[npt.NDArray[Any], ...]
    tokens: int = 1


@dataclass(frozen=True)
class RejectedInput:
    """Why an input is not converted."""

    failure: ItemFailure

    @classmethod
    def invalid(cls, reason: str) -> Self:
        """Return the rejection of an input that cannot be converted, in words for the caller."""
        return cls(ItemFailure("InvalidInput", reason))


class Preprocessor(Protocol):
    """Converts the inputs of one modality. It sees a whole batch, as texts are padded together."""

    @property
    def max_tokens(self) -> int:
        """The tokens to which a text is truncated; 0 for other modalities."""

    def prepare(self, items: Sequence[Item]) -> list[PreparedInput | RejectedInput]:
        """Return one result for each item, in order."""


class RowPreprocessor:
    """Converts rows of numbers to arrays of the shape `spec.shape[1:]`, one for each input."""

    max_tokens = 0

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._specs = specs

    def prepare(self, items: Sequence[Item]) -> list[PreparedInput | RejectedInput]:
        """Return arrays of the declared datatypes. The rows are validated already."""
        return [PreparedInput(tuple(self._arrays(item.value))) for item in items]

    def _arrays(self, value: Any) -> list[npt.NDArray[Any]]:
        if len(self._specs) == 1:
            return [np.asarray(value, dtype=NUMPY_TYPES[self._specs[0].datatype])]
        return [
            np.asarray(value[spec.name], dtype=NUMPY_TYPES[spec.datatype]) for spec in self._specs
        ]
