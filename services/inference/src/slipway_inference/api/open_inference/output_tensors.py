"""Predictions as tensors, and the metadata of these tensors.

The outputs of a model follow from its package: an embedding, the members of a classification, or
the outputs that it declares. Undeclared predictions are one tensor of JSON texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from slipway_core.errors import InvalidInput, PredictionFailed
from slipway_core.inputs.items import Outcome
from slipway_core.models.model import ModelInfo
from slipway_core.package.datatypes import NUMPY_TYPES, Datatype
from slipway_core.package.manifest import Manifest, TensorSpec, shape_fits
from slipway_inference.api.open_inference.input_tensors import of_any_count
from slipway_inference.http.json import encode_json

EMBEDDING = "embedding"
LABEL, SCORE, SCORES, LABELS = "label", "score", "scores", "labels"
_UNDECLARED = TensorSpec(name="prediction", datatype="BYTES", shape=[-1])


class OutputTensor(NamedTuple):
    """An output tensor. The elements of BYTES are bytes, in an array of objects."""

    name: str
    datatype: Datatype
    elements: npt.NDArray[Any]


class _Classification(NamedTuple):
    """{label, score, scores}: the prediction itself, or its member of the name `output`."""

    output: str
    labels: int

    def specs(self) -> list[TensorSpec]:
        """Return its tensors; `scores` is [rows, labels]."""
        prefix = f"{self.output}." if self.output else ""
        return [
            TensorSpec(name=prefix + LABEL, datatype="BYTES", shape=[-1]),
            TensorSpec(name=prefix + SCORE, shape=[-1]),
            TensorSpec(name=prefix + SCORES, shape=[-1, self.labels]),
            TensorSpec(name=prefix + LABELS, datatype="BYTES", shape=[self.labels]),
        ]


def output_specs(info: ModelInfo, *, by_labels: bool = False) -> list[TensorSpec]:
    """Return the tensors of a model's predictions, or with `by_labels` of a request with labels."""
    if info.embedding_size and not by_labels:
        return [_embedding(info.embedding_size)]
    specs: list[TensorSpec] = []
    for part in _parts(info.manifest):
        specs += part.specs() if isinstance(part, _Classification) else [of_any_count(part)]
    return specs


def to_tensors(manifest: Manifest, outcomes: Sequence[Outcome]) -> list[OutputTensor]:
    """Return all tensors of a response.

    Raises InvalidInput when rows have outputs of different shapes, PredictionFailed when a python
    model did not return what its package declares.
    """
    if outcomes[0].embedding:
        return [_stacked(_embedding(), [outcome.vector() for outcome in outcomes])]
    predictions = [outcome.prediction for outcome in outcomes]
    tensors: list[OutputTensor] = []
    for part in _parts(manifest):
        if isinstance(part, _Classification):
            tensors += _classified(part, predictions)
        elif part is _UNDECLARED:
            tensors.append(_stacked(part, predictions))
        else:
            tensors.append(_stacked(part, [_member(one, part.name) for one in predictions]))
    return tensors


def _parts(manifest: Manifest) -> Iterator[TensorSpec | _Classification]:
    """Yield the parts of a prediction. `OutputReader` makes those of exported models."""
    exported = manifest.runtime != "python"
    if manifest.runtime == "bert" or (exported and manifest.task == "text-classification"):
        yield _Classification("", len(manifest.labels) or -1)
        return
    if not manifest.outputs:
        yield _UNDECLARED
        return
    labelled = [spec for spec in manifest.outputs if spec.labels and exported]
    for spec in manifest.outputs:
        if len(labelled) > 1 and spec in labelled:
            yield _Classification(spec.name, len(spec.labels))
        elif len(labelled) == 1 and spec.name in (LABEL, SCORE, SCORES, LABELS):
            continue  # the classification has taken its name
        else:
            yield spec
    if len(labelled) == 1:
        yield _Classification("", len(labelled[0].labels))


def _embedding(size: int = -1) -> TensorSpec:
    return TensorSpec(name=EMBEDDING, shape=[-1, size])


def _classified(part: _Classification, predictions: Sequence[dict[str, Any]]) -> list[OutputTensor]:
    """Return the best label of each row, and the scores of all labels in the order of `labels`."""
    values = [_member(one, part.output) if part.output else one for one in predictions]
    labels = list(values[0][SCORES])
    columns = (
        [value[LABEL] for value in values],
        [value[SCORE] for value in values],
        [[value[SCORES][label] for label in labels] for value in values],
        labels,
    )
    return [_stacked(spec, column) for spec, column in zip(part.specs(), columns, strict=True)]


def _member(prediction: dict[str, Any], name: str) -> Any:
    if name not in prediction:
        raise PredictionFailed(f"the prediction has no {name}, which slipway.yaml declares")
    return prediction[name]


def _stacked(spec: TensorSpec, rows: Sequence[Any]) -> OutputTensor:
    arrays = [_array(spec, row) for row in rows]
    if len({array.shape for array in arrays}) > 1:
        raise InvalidInput.at(
            "inputs", f"gave {spec.name} of different shapes: send these rows one by one"
        )
    return OutputTensor(spec.name, spec.datatype, np.stack(arrays))


def _array(spec: TensorSpec, row: Any) -> npt.NDArray[Any]:
    """Return a row of an output. A python model may return what its package does not declare."""
    try:
        array = _texts(row) if spec.datatype == "BYTES" else _numbers(spec.datatype, row)
    except (ValueError, TypeError, OverflowError):
        array = None
    if array is None or (spec.shape and not shape_fits(array.shape, spec.shape[1:])):
        raise PredictionFailed(f"the output {spec.name} is not what slipway.yaml declares")
    return array


def _numbers(datatype: Datatype, row: Any) -> npt.NDArray[Any]:
    """Return the numbers as an array. Raises ValueError unless the datatype can hold them."""
    array = np.asarray(row)
    if array.dtype.kind not in ("b" if datatype == "BOOL" else "biuf"):
        raise ValueError
    with np.errstate(over="ignore"):
        cast = array.astype(NUMPY_TYPES[datatype])
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        raise ValueError
    return cast


def _texts(row: Any) -> npt.NDArray[Any]:
    """Return an array of texts; other values become JSON."""
    elements = np.empty((), dtype=object)
    if isinstance(row, list):
        elements = np.asarray(row, dtype=object)
    else:
        elements[()] = row
    texts = np.empty(elements.shape, dtype=object)
    for at, element in np.ndenumerate(elements):
        texts[at] = element.encode() if isinstance(element, str) else encode_json(element)
    return texts
