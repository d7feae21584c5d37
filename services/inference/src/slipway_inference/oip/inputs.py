"""Tensors of a request as the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway_core.errors import InvalidInput
from slipway_core.runtime.inputs import parse_input
from slipway_core.runtime.manifest import Manifest, TensorSpec
from slipway_core.runtime.protocol import Item
from slipway_inference.decoding import decode_any
from slipway_inference.oip.requests import InputTensor

LABELS = "labels"
ROW = "row"


def input_specs(manifest: Manifest) -> list[TensorSpec]:
    """The tensors that a model takes, by what it serves first.

    A picture is one element of BYTES, encoded as PNG, JPEG and the like; a row of a python model
    that declares no inputs is one element of BYTES, as JSON.
    """
    modality = manifest.served_modalities()[0]
    if modality != "tabular":
        return [TensorSpec(name=modality, datatype="BYTES", shape=[-1])]
    return manifest.inputs or [TensorSpec(name=ROW, datatype="BYTES", shape=[-1])]


def to_items(
    manifest: Manifest, tensors: Sequence[InputTensor], parameters: dict[str, Any]
) -> list[Item]:
    """The Items of a request, one for each row of its tensors.

    A bert model takes `labels` beside its texts: BYTES, each a label to classify by. Raises
    InvalidInput naming the tensor or the very element.
    """
    specs = input_specs(manifest)
    named = {tensor.name: tensor for tensor in tensors}
    labels = named.pop(LABELS, None) if manifest.runtime == "bert" else None
    _check_names(specs, named, len(tensors) - (labels is not None))
    given = [named[spec.name] for spec in specs]
    for spec, tensor in zip(specs, given, strict=True):
        _check_tensor(spec, tensor, rows=given[0].shape[0])
    modality = manifest.served_modalities()[0]
    asked = _texts(labels) if labels else []
    return [
        parse_input(manifest, modality, row, field=field, labels=asked, parameters=parameters)
        for field, row in _rows(modality, given)
    ]


def _check_names(specs: Sequence[TensorSpec], named: dict[str, InputTensor], count: int) -> None:
    known = [spec.name for spec in specs]
    for tensor in named.values():
        if tensor.name not in known:
            raise InvalidInput.at(
                f"{tensor.field}.name", f"is not an input of this model: {', '.join(known)}"
            )
    for name in known:
        if name not in named:
            raise InvalidInput.at("inputs", f"must have the tensor {name}")
    if count > len(named):
        raise InvalidInput.at("inputs", "must not name a tensor twice")


def _check_tensor(spec: TensorSpec, tensor: InputTensor, rows: int) -> None:
    if tensor.datatype != spec.datatype:
        raise InvalidInput.at(f"{tensor.field}.datatype", f"must be {spec.datatype}")
    shape = tensor.shape
    if spec.datatype == "BYTES" and shape[1:] == (1,):
        shape = shape[:1]  # clients of other servers add a dimension to each text
    if len(shape) != len(spec.shape) or any(
        want not in (-1, size) for want, size in zip(spec.shape, shape, strict=True)
    ):
        raise InvalidInput.at(f"{tensor.field}.shape", f"must be {spec.shape}, -1 being any size")
    if shape[0] != rows:
        raise InvalidInput.at(f"{tensor.field}.shape", f"must begin with {rows}, as the others do")


def _texts(tensor: InputTensor) -> list[Any]:
    if tensor.datatype != "BYTES":
        raise InvalidInput.at(f"{tensor.field}.datatype", "must be BYTES")
    return [
        _text(element, f"{tensor.field}.data.{at}") for at, element in enumerate(tensor.elements)
    ]


def _text(element: Any, field: str) -> Any:
    """An element of BYTES as a text; what is neither is left to the checks of the inputs."""
    if not isinstance(element, bytes):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise InvalidInput.at(field, "must be UTF-8") from None


def _rows(modality: str, tensors: Sequence[InputTensor]) -> list[tuple[str, Any]]:
    """Each row as `parse_input` takes it, after the field that it came in."""
    first = tensors[0]
    if modality == "image":
        rows = first.elements
    elif first.datatype == "BYTES":
        rows = _texts(first)
        if modality == "tabular":
            rows = [_parse_row(text, f"{first.field}.data.{at}") for at, text in enumerate(rows)]
    elif len(tensors) == 1:
        rows = _nested(first.elements, first.shape)
    else:
        names = [tensor.name for tensor in tensors]
        parts = [_nested(tensor.elements, tensor.shape) for tensor in tensors]
        records = [dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True)]
        return [(f"rows.{at}", record) for at, record in enumerate(records)]
    return [(f"{first.field}.data.{at}", row) for at, row in enumerate(rows)]


def _parse_row(text: Any, field: str) -> Any:
    """A row of a python model that declares no inputs."""
    if not isinstance(text, str):
        raise InvalidInput.at(field, "must be a text: the row as JSON")
    return decode_any(text.encode("utf-8", "surrogatepass"), what=field)


def _nested(elements: list[Any], shape: Sequence[int]) -> list[Any]:
    """The elements as lists within lists, of a shape."""
    for size in reversed(shape[1:]):
        elements = [elements[at : at + size] for at in range(0, len(elements), size)]
    return elements
