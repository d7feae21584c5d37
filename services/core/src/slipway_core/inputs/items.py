"""What callers sent, checked, and what became of it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input, validated, on its way to a model.

    `value` is a str (text), a list of numbers (a tabular row), bytes (an encoded image), or any
    JSON value that a python model declared it takes. `labels` asks an embedding model to classify
    instead.
    """

    modality: str
    value: Any
    labels: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}


class ItemFailure(msgspec.Struct, frozen=True):
    """Why one input has no prediction: the code of an error of `slipway_core.errors` and its
    message.
    """

    code: str
    message: str


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one Item: exactly one of a prediction (with or without a vector) and a
    failure.

    `embedding` holds little-endian float32 apart from the JSON-like `prediction`, so that vectors
    are never spelled out as text on the way; `tokens` is what the input cost the model (1 for a
    tensor row).
    """

    prediction: dict[str, Any] = {}
    embedding: bytes = b""
    failure: ItemFailure | None = None
    tokens: int = 1

    def vector(self) -> npt.NDArray[np.float32]:
        """The embedding as an array of float32; empty when the prediction has none."""
        return np.frombuffer(self.embedding, dtype="<f4")
