"""Bodies of inference answers: JSON, with raw tensors behind it where binary was asked for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from slipway_core.errors import InvalidInput
from slipway_inference.oip.outputs import Elements, OutputTensor
from slipway_inference.oip.requests import BINARY, BINARY_OUTPUT, BINARY_SIZE, InferRequest
from slipway_inference.predictions_json import dump_json


def check_outputs(request: InferRequest, names: Sequence[str]) -> None:
    """Raises InvalidInput for an output that there is not."""
    for index, output in enumerate(request.outputs):
        if output.name not in names:
            raise InvalidInput.at(
                f"outputs.{index}.name", f"is not an output of this model: {', '.join(names)}"
            )


def write_answer(
    head: dict[str, Any], request: InferRequest, tensors: Sequence[OutputTensor]
) -> tuple[bytes, int | None]:
    """The body, and how many bytes of it are JSON: None when all are.

    `head` are the members beside the outputs. Raises InvalidInput for an output that there is not.
    """
    check_outputs(request, [tensor.name for tensor in tensors])
    by_default = bool(request.parameters.get(BINARY_OUTPUT, False))
    named = {tensor.name: tensor for tensor in tensors}
    wanted = [
        (named[output.name], bool(output.parameters.get(BINARY, by_default)))
        for output in request.outputs
    ] or [(tensor, by_default) for tensor in tensors]
    outputs, parts = [], []
    for tensor, binary in wanted:
        value: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
        }
        if binary:
            raw = _raw(tensor)
            parts.append(raw)
            value["parameters"] = {BINARY_SIZE: len(raw)}
        else:
            value["data"] = _plain(tensor.elements)
        outputs.append(value)
    text = dump_json({**head, "outputs": outputs})
    return (b"".join([text, *parts]), len(text)) if parts else (text, None)


def _plain(elements: Elements) -> Any:
    """For JSON: a flat array, or texts."""
    if isinstance(elements, list):
        return [element.decode() for element in elements]
    return elements.reshape(-1)


def _raw(tensor: OutputTensor) -> bytes:
    """Little-endian, row by row; elements of BYTES each after their length."""
    if isinstance(tensor.elements, list):
        return b"".join(struct.pack("<I", len(one)) + one for one in tensor.elements)
    kind = tensor.elements.dtype.newbyteorder("<")
    return tensor.elements.astype(kind, copy=False).tobytes()
