"""The inputs of a model, and their outcomes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One validated input.

    `value` is a string (text), bytes (an encoded image) or a row: a nested list of numbers, an
    object {input name: nested list} for a model with several inputs, or any list or object for a
    python model that declares no inputs. An array may stand for a nested list: one of a large
    tensor, which is never turned into objects on its way to an exported model. With `labels` an
    embedding model classifies instead.
    """

    modality: str
    value: Any
    labels: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}

    def plain_value(self) -> Any:
        """Return the value with nested lists instead of arrays."""
        if isinstance(self.value, dict):
            return {name: _without_array(part) for name, part in self.value.items()}
        return _without_array(self.value)


def _without_array(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


class ItemFailure(msgspec.Struct, frozen=True):
    """Why an input has no prediction: the code and message of an error of `slipway_core.errors`."""

    code: str
    message: str


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one Item: a prediction, an embedding or a failure.

    `prediction` holds JSON values. `embedding` holds a vector as little-endian float32, so that it
    is never converted to text between processes. `tokens` is the cost of the input (1 for a row).
    """

    prediction: dict[str, Any] = {}
    embedding: bytes = b""
    failure: ItemFailure | None = None
    tokens: int = 1

    def vector(self) -> npt.NDArray[np.float32]:
        """Return the embedding as float32 [width]; width is 0 without an embedding."""
        return np.frombuffer(self.embedding, dtype="<f4")
