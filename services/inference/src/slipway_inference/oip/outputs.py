"""Predictions as tensors, and what the metadata of a model says of them.

What a model gives follows from its package: a vector, the members of a classification, or the
outputs that it declares. Predictions of which nothing is declared are one tensor of JSON texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from slipway_core.errors import InvalidInput, PredictionFailed
from slipway_core.runtime.encoding import ARRAY_TYPES
from slipway_core.runtime.manifest import Datatype, Manifest, TensorSpec
from slipway_core.runtime.protocol import ModelInfo, Outcome
from slipway_inference.predictions_json import dump_json

Elements = npt.NDArray[Any] | list[bytes]

EMBEDDING = "embedding"
PREDICTION = "prediction"
LABEL, SCORE, SCORES, LABELS = "label", "score", "scores", "labels"


class OutputTensor(NamedTuple):
    """A tensor that goes out; the elements of BYTES are a list of them, row by row."""

    name: str
    datatype: Datatype
    shape: list[int]
    elements: Elements


def output_specs(info: ModelInfo) -> list[TensorSpec]:
    """The tensors that the model gives when it is asked for nothing else."""
    manifest = info.manifest
    if info.embedding_size:
        return [_embedding(info.embedding_size)]
    if _classifies(manifest):
        return _classification_specs("", len(manifest.labels) or -1)
    if not manifest.outputs:
        return [TensorSpec(name=PREDICTION, datatype="BYTES", shape=[-1])]
    specs: list[TensorSpec] = []
    several = _has_several_labelled(manifest)
    for spec in manifest.outputs:
        if not (spec.labels and several):
            specs.append(TensorSpec(name=spec.name, datatype=spec.datatype, shape=spec.shape))
        if spec.labels:
            specs += _classification_specs(f"{spec.name}." if several else "", len(spec.labels))
    return specs


def to_tensors(manifest: Manifest, outcomes: Sequence[Outcome]) -> list[OutputTensor]:
    """All tensors of an answer.

    Raises InvalidInput when rows gave tensors of different shapes, PredictionFailed when a python
    model did not give what its package declares.
    """
    predictions = [outcome.prediction for outcome in outcomes]
    if outcomes[0].embedding:
        return [_stacked(_embedding(), [outcome.vector() for outcome in outcomes])]
    if manifest.runtime == "bert" or _classifies(manifest):
        return _classification("", predictions)
    if not manifest.outputs:
        texts = [dump_json(prediction) for prediction in predictions]
        return [OutputTensor(PREDICTION, "BYTES", [len(texts)], texts)]
    tensors: list[OutputTensor] = []
    several = _has_several_labelled(manifest)
    for spec in manifest.outputs:
        values = [_member(prediction, spec.name) for prediction in predictions]
        if spec.labels and several:
            tensors += _classification(f"{spec.name}.", values)
            continue
        tensors.append(_stacked(spec, values))
        if spec.labels:
            tensors += _classification("", predictions)
    return tensors


def _classifies(manifest: Manifest) -> bool:
    """Whether predictions are {label, score, scores} and nothing else."""
    return manifest.task == "text-classification" and manifest.runtime != "python"


def _has_several_labelled(manifest: Manifest) -> bool:
    """Then each has its classification below its own name; see `OutputReader`."""
    return manifest.runtime != "python" and sum(bool(one.labels) for one in manifest.outputs) > 1


def _embedding(size: int = -1) -> TensorSpec:
    return TensorSpec(name=EMBEDDING, shape=[-1, size])


def _classification_specs(prefix: str, count: int) -> list[TensorSpec]:
    return [
        TensorSpec(name=prefix + LABEL, datatype="BYTES", shape=[-1]),
        TensorSpec(name=prefix + SCORE, shape=[-1]),
        TensorSpec(name=prefix + SCORES, shape=[-1, count]),
        TensorSpec(name=prefix + LABELS, datatype="BYTES", shape=[count]),
    ]


def _classification(prefix: str, values: Sequence[dict[str, Any]]) -> list[OutputTensor]:
    """The best label of each row, and the scores of all labels, in the order of `labels`."""
    labels = list(values[0][SCORES])
    columns = (
        [value[LABEL] for value in values],
        [value[SCORE] for value in values],
        [[value[SCORES][label] for label in labels] for value in values],
        labels,
    )
    specs = _classification_specs(prefix, len(labels))
    return [_stacked(spec, column) for spec, column in zip(specs, columns, strict=True)]


def _member(prediction: dict[str, Any], name: str) -> Any:
    if name not in prediction:
        raise PredictionFailed(f"the prediction has no {name}, which slipway.yaml declares")
    return prediction[name]


def _stacked(spec: TensorSpec, rows: Sequence[Any]) -> OutputTensor:
    if spec.datatype == "BYTES":
        texts = [row.encode() if isinstance(row, str) else dump_json(row) for row in rows]
        return OutputTensor(spec.name, spec.datatype, [len(texts)], texts)
    arrays = [_array(spec, row) for row in rows]
    if len({array.shape for array in arrays}) > 1:
        raise InvalidInput.at(
            "inputs", f"gave {spec.name} of different shapes: send these rows one by one"
        )
    stacked = np.stack(arrays)
    return OutputTensor(spec.name, spec.datatype, list(stacked.shape), stacked)


def _array(spec: TensorSpec, row: Any) -> npt.NDArray[Any]:
    """A row of an output. What a python model gives need not be what its package declares."""
    wrong = PredictionFailed(f"the output {spec.name} is not what slipway.yaml declares")
    try:
        array = np.asarray(row, dtype=ARRAY_TYPES[spec.datatype])
    except (ValueError, TypeError, OverflowError):
        raise wrong from None
    declared = spec.shape[1:]
    if spec.shape and (
        len(declared) != array.ndim
        or any(want not in (-1, size) for want, size in zip(declared, array.shape, strict=True))
    ):
        raise wrong
    return array
