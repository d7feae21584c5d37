"""Bodies of inference responses: JSON, followed by raw tensors where binary was requested."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from slipway_core.errors import InvalidInput
from slipway_inference.api.open_inference.output_tensors import OutputTensor
from slipway_inference.api.open_inference.request_body import (
    BINARY_DATA,
    BINARY_OUTPUT,
    BINARY_SIZE,
    InferRequest,
    is_binary,
)
from slipway_inference.http.json import encode_json, encoded_array


def requested_outputs(request: InferRequest, names: Sequence[str]) -> dict[str, bool]:
    """Return the outputs of the response by name, and whether each is binary. `names` are the
    outputs of the model.

    Raises InvalidInput for an output that the model does not have.
    """
    binary = is_binary(request.parameters, BINARY_OUTPUT, "parameters")
    if not request.outputs:
        return dict.fromkeys(names, binary)
    for index, output in enumerate(request.outputs):
        if output.name not in names:
            raise InvalidInput.at(
                f"outputs.{index}.name", f"is not an output of this model: {', '.join(names)}"
            )
    return {
        output.name: is_binary(
            output.parameters, BINARY_DATA, f"outputs.{index}.parameters", otherwise=binary
        )
        for index, output in enumerate(request.outputs)
    }


def write_body(
    head: dict[str, Any], tensors: Sequence[OutputTensor], requested: dict[str, bool]
) -> tuple[bytes, int | None]:
    """Return the body and how many bytes of it are JSON, or None when all are.

    `head` holds the members besides the outputs; `requested` is the result of `requested_outputs`.
    """
    named = {tensor.name: tensor for tensor in tensors}
    outputs, parts = [], []
    for name, binary in requested.items():
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
    text = encode_json({**head, "outputs": outputs})
    return (b"".join([text, *parts]), len(text)) if parts else (text, None)


def _plain(tensor: OutputTensor) -> Any:
    """Return the elements for JSON: a flat array [elements], or a list of texts."""
    flat = tensor.elements.reshape(-1)
    if tensor.datatype == "BYTES":
        return [element.decode() for element in flat]
    return encoded_array(flat)


def _raw(tensor: OutputTensor) -> bytes:
    """Return the elements row by row, little-endian. Elements of BYTES follow their length."""
    if tensor.datatype == "BYTES":
        flat = tensor.elements.reshape(-1)
        return b"".join(struct.pack("<I", len(element)) + element for element in flat)
    kind = tensor.elements.dtype.newbyteorder("<")
    return tensor.elements.astype(kind, copy=False).tobytes()
