"""Tensors of a request as the inputs of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from slipway_core.errors import InvalidInput
from slipway_core.inputs.image_header import ImageLimits
from slipway_core.inputs.items import Item
from slipway_core.inputs.parsing import check_parameters, parse_inputs
from slipway_core.inputs.rows import MAX_NUMBERS_PER_ROW, parse_tensor_row
from slipway_core.package.manifest import Manifest, TensorSpec, shape_fits
from slipway_inference.api.open_inference.request_body import InputTensor
from slipway_inference.http.json import decode_any

MAX_ELEMENTS = MAX_NUMBERS_PER_ROW
"""Elements of a tensor. Each one becomes a Python object on its way to an engine, even when it was
sent in a fraction of a byte.
"""
LABELS = "labels"
ROW = "row"


class Matched(NamedTuple):
    """The tensors of a request in the order of the model's inputs, and the labels to classify by.

    Their names, datatypes and shapes are those that the model takes; their elements are not read
    yet.
    """

    tensors: list[InputTensor]
    labels: InputTensor | None

    @property
    def rows(self) -> int:
        """Number of rows of each tensor."""
        return self.tensors[0].shape[0]

    @property
    def field(self) -> str:
        """Path of the first tensor in the request."""
        return self.tensors[0].field


def input_specs(manifest: Manifest) -> list[TensorSpec]:
    """Return the tensors that a model takes for its first modality, with any number of rows.

    An image is one element of BYTES, encoded as PNG, JPEG and the like. A row of a python model
    without declared inputs is one element of BYTES, as JSON.
    """
    modality = manifest.served_modalities()[0]
    if modality != "tabular":
        return [TensorSpec(name=modality, datatype="BYTES", shape=[-1])]
    if not manifest.inputs:
        return [TensorSpec(name=ROW, datatype="BYTES", shape=[-1])]
    return [of_any_count(spec) for spec in manifest.inputs]


def of_any_count(spec: TensorSpec) -> TensorSpec:
    """Return the specification for any number of rows: batches are split and padded for models that
    were exported for a fixed number.
    """
    return TensorSpec(name=spec.name, datatype=spec.datatype, shape=[-1, *spec.shape[1:]])


def match_tensors(manifest: Manifest, tensors: Sequence[InputTensor]) -> Matched:
    """Return the tensors that the model takes. A bert model takes `labels` besides its texts.

    Raises InvalidInput naming the tensor that is wrong or missing.
    """
    specs = input_specs(manifest)
    named = {tensor.name: tensor for tensor in tensors}
    if len(named) < len(tensors):
        raise InvalidInput.at("inputs", "must not name a tensor twice")
    labels = named.pop(LABELS, None) if manifest.runtime == "bert" else None
    known = [spec.name for spec in specs]
    for tensor in named.values():
        if tensor.name not in known:
            raise InvalidInput.at(
                f"{tensor.field}.name", f"is not an input of this model: {', '.join(known)}"
            )
    for name in known:
        if name not in named:
            raise InvalidInput.at("inputs", f"must have the tensor {name}")
    matched = Matched([named[name] for name in known], labels)
    for spec, tensor in zip(specs, matched.tensors, strict=True):
        _check_tensor(spec, tensor, matched.rows)
    if labels is not None:
        _check_tensor(TensorSpec(name=LABELS, datatype="BYTES", shape=[-1]), labels, None)
    return matched


def to_items(
    manifest: Manifest, matched: Matched, parameters: dict[str, Any], image_limits: ImageLimits
) -> list[Item]:
    """Return one Item for each row. Raises InvalidInput naming the element that is wrong."""
    modality = manifest.served_modalities()[0]
    first = matched.tensors[0]
    if modality == "tabular" and first.datatype != "BYTES":
        checked = check_parameters(parameters) if parameters else {}
        return [Item(modality, row, (), checked) for row in _table(manifest, matched.tensors)]
    texts = _elements(first)
    if modality != "image":
        texts = [(field, _text(element, field)) for field, element in texts]
    if modality == "tabular":
        texts = [(field, _parse_row(text, field)) for field, text in texts]
    labels = [_text(each, field) for field, each in _elements(matched.labels)]
    return parse_inputs(
        manifest,
        modality,
        texts,
        labels=labels,
        parameters=parameters,
        image_limits=image_limits,
    )


def _check_tensor(spec: TensorSpec, tensor: InputTensor, rows: int | None) -> None:
    if tensor.datatype != spec.datatype:
        raise InvalidInput.at(f"{tensor.field}.datatype", f"must be {spec.datatype}")
    field, shape = f"{tensor.field}.shape", tensor.shape
    if spec.datatype == "BYTES" and shape[1:] == (1,):
        shape = shape[:1]  # clients of other servers add a dimension to each text
    if not shape_fits(shape, spec.shape):
        raise InvalidInput.at(field, f"must be {spec.shape}, -1 being any size")
    if rows is not None and shape[0] != rows:
        raise InvalidInput.at(field, f"must begin with {rows}, as the others do")
    if math.prod(shape) > MAX_ELEMENTS:
        raise InvalidInput.at(field, f"must have at most {MAX_ELEMENTS} elements: send fewer rows")


def _elements(tensor: InputTensor | None) -> list[tuple[str, Any]]:
    """Return pairs of the path and the value of each element of BYTES."""
    if tensor is None:
        return []
    rows = tensor.rows()
    if len(tensor.shape) > 1:
        rows = [element for row in rows for element in row]
    return [(f"{tensor.field}.data.{index}", element) for index, element in enumerate(rows)]


def _text(element: Any, field: str) -> Any:
    """Return an element of BYTES as a text. Other values are left to the validation of inputs."""
    if not isinstance(element, bytes):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise InvalidInput.at(field, "must be UTF-8") from None


def _parse_row(text: Any, field: str) -> Any:
    """Return a row for a python model without declared inputs."""
    if not isinstance(text, str):
        raise InvalidInput.at(field, "must be a text: the row as JSON")
    return decode_any(text.encode("utf-8", "surrogatepass"), what=field)


def _table(manifest: Manifest, tensors: Sequence[InputTensor]) -> list[Any]:
    """Return rows of numbers in the form of `parse_row`."""
    columns = [
        _checked_rows(spec, tensor) for spec, tensor in zip(manifest.inputs, tensors, strict=True)
    ]
    if len(columns) == 1:
        return columns[0]
    names = [tensor.name for tensor in tensors]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _checked_rows(spec: TensorSpec, tensor: InputTensor) -> list[Any]:
    """Return rows of numbers that the datatype can hold. Those of a raw tensor always are."""
    rows = tensor.rows()
    if tensor.raw is not None:
        return rows
    field = f"{tensor.field}.data"
    return [parse_tensor_row(spec, row, f"{field}.{index}") for index, row in enumerate(rows)]
