"""Bodies of inference answers: JSON, with raw tensors behind it where binary was asked for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from slipway_core.errors import InvalidInput
from slipway_inference.api.open_inference.outputs import OutputTensor
from slipway_inference.api.open_inference.requests import (
    BINARY_DATA,
    BINARY_OUTPUT,
    BINARY_SIZE,
    InferRequest,
    wants_binary,
)
from slipway_inference.http.json import dump_json


def wanted_outputs(request: InferRequest, names: Sequence[str]) -> dict[str, bool]:
    """The outputs to answer with, of those that the model gives: by name, whether in binary.

    Raises InvalidInput for an output that there is not.
    """
    binary = wants_binary(request.parameters, BINARY_OUTPUT, "parameters")
    if not request.outputs:
        return dict.fromkeys(names, binary)
    for index, output in enumerate(request.outputs):
        if output.name not in names:
            raise InvalidInput.at(
                f"outputs.{index}.name", f"is not an output of this model: {', '.join(names)}"
            )
    return {
        output.name: wants_binary(
            output.parameters, BINARY_DATA, f"outputs.{index}.parameters", otherwise=binary
        )
        for index, output in enumerate(request.outputs)
    }


def write_answer(
    head: dict[str, Any], tensors: Sequence[OutputTensor], wanted: dict[str, bool]
) -> tuple[bytes, int | None]:
    """The body, and how many bytes of it are JSON: None when all are.

    `head` are the members beside the outputs; `wanted` is that of `wanted_outputs`.
    """
    named = {tensor.name: tensor for tensor in tensors}
    outputs, parts = [], []
    for name, binary in wanted.items():
        tensor = named[name]
        value: dict[str, Any] = {
            "name": name,
            "datatype": tensor.datatype,
            "shape": list(tensor.elements.shape),
        }
        if binary:
            raw = _raw(tensor)
            parts.append(raw)
            value["parameters"] = {BINARY_SIZE: len(raw)}
        else:
            value["data"] = _plain(tensor)
        outputs.append(value)
    text = dump_json({**head, "outputs": outputs})
    return (b"".join([text, *parts]), len(text)) if parts else (text, None)


def _plain(tensor: OutputTensor) -> Any:
    """For JSON: a flat array, or texts."""
    flat = tensor.elements.reshape(-1)
    return [element.decode() for element in flat] if tensor.datatype == "BYTES" else flat


def _raw(tensor: OutputTensor) -> bytes:
    """Little-endian, row by row; elements of BYTES each after their length."""
    if tensor.datatype == "BYTES":
        flat = tensor.elements.reshape(-1)
        return b"".join(struct.pack("<I", len(element)) + element for element in flat)
    kind = tensor.elements.dtype.newbyteorder("<")
    return tensor.elements.astype(kind, copy=False).tobytes()
