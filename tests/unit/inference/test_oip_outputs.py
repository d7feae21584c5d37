"""Predictions become tensors, which agree with the metadata of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slipway_core.errors import InvalidInput, PredictionFailed
from slipway_core.inputs.items import Outcome
from slipway_core.models.model import ModelInfo
from slipway_core.package.manifest import Manifest, TensorSpec
from slipway_inference.api.open_inference.output_tensors import (
    OutputTensor,
    output_specs,
    to_tensors,
)

Y = TensorSpec(name="y", shape=[-1, 2])
KIND = TensorSpec(name="kind", shape=[-1, 2], labels=["cat", "dog"])
COLOUR = TensorSpec(name="colour", shape=[-1, 2], labels=["red", "blue"])
SCORES = TensorSpec(name="scores", shape=[-1, 2], labels=["cat", "dog"])
WORDS = TensorSpec(name="words", datatype="BYTES", shape=[-1, 2])
FIXED = TensorSpec(name="fixed", datatype="INT64", shape=[1])
CAT = {"label": "cat", "score": 0.75, "scores": {"cat": 0.75, "dog": 0.25}}
BLUE = {"label": "blue", "score": 1.0, "scores": {"red": 0.0, "blue": 1.0}}


def _manifest(task: Any = "tensor", runtime: Any = "torch-export", **more: Any) -> Manifest:
    return Manifest(name="mine", task=task, runtime=runtime, **more)


def _tensors(manifest: Manifest, *predictions: dict[str, Any]) -> dict[str, OutputTensor]:
    tensors = to_tensors(manifest, [Outcome(prediction=each) for each in predictions])
    return {tensor.name: tensor for tensor in tensors}


CASES = [
    (_manifest(outputs=[Y]), {"y": [1, 2]}),
    (_manifest(outputs=[Y, KIND]), {"y": [1, 2], "kind": [0.75, 0.25], **CAT}),
    (_manifest(outputs=[KIND, COLOUR]), {"kind": CAT, "colour": BLUE}),
    (_manifest("text-classification", labels=["cat", "dog"]), CAT),
    (_manifest("text-classification", "bert", labels=["cat", "dog"]), CAT),
    (_manifest("python", "python"), {"any": [{"thing": 1}]}),
    (_manifest("python", "python", outputs=[Y]), {"y": [1, 2], "more": None}),
    (_manifest("python", "python", outputs=[KIND, COLOUR]), {"kind": [1, 0], "colour": [0, 1]}),
    (_manifest("python", "python", outputs=[WORDS]), {"words": ["a", {"b": 1}]}),
    (_manifest(outputs=[SCORES]), CAT),
    (_manifest(outputs=[Y, FIXED]), {"y": [1, 2], "fixed": 3}),
]


@pytest.mark.parametrize(("manifest", "prediction"), CASES)
def test_output_tensors_agree_with_the_metadata(
    manifest: Manifest, prediction: dict[str, Any]
) -> None:
    tensors = _tensors(manifest, prediction, prediction)
    specs = output_specs(ModelInfo(manifest, "cpu", "fp32", "", 1, 0, 0.0))
    assert list(tensors) == [spec.name for spec in specs]
    for spec, tensor in zip(specs, tensors.values(), strict=True):
        assert tensor.datatype == spec.datatype
        assert tensor.elements.ndim == len(spec.shape)
        for expected, size in zip(spec.shape, tensor.elements.shape, strict=True):
            assert expected in (-1, size)


def test_tensors_of_several_labelled_outputs_have_distinct_names() -> None:
    tensors = _tensors(_manifest(outputs=[KIND, COLOUR]), {"kind": CAT, "colour": BLUE})
    assert tensors["kind.label"].elements.tolist() == [b"cat"]
    assert tensors["colour.labels"].elements.tolist() == [b"red", b"blue"]
    assert np.array_equal(tensors["colour.scores"].elements, [[0, 1]])


def test_integers_keep_their_type() -> None:
    manifest = _manifest(outputs=[TensorSpec(name="n", datatype="INT64", shape=[-1])])
    big = 2**53 + 1
    assert np.asarray(_tensors(manifest, {"n": big})["n"].elements).tolist() == [big]


def test_rows_of_different_shapes_are_rejected() -> None:
    manifest = _manifest(outputs=[TensorSpec(name="y", shape=[-1, -1])])
    with pytest.raises(InvalidInput, match="one by one"):
        _tensors(manifest, {"y": [1]}, {"y": [1, 2]})


def test_texts_are_kept_and_other_values_become_json() -> None:
    words = _tensors(_manifest("python", "python", outputs=[WORDS]), {"words": ["a", {"b": 1}]})
    assert words["words"].elements.tolist() == [[b"a", b'{"b":1}']]


@pytest.mark.parametrize(
    "prediction",
    [
        {},
        {"y": "text"},
        {"y": ["1", "2"]},
        {"y": [True, None]},
        {"y": [[1], [1, 2]]},
        {"y": [1e39, 0]},
        {"y": [1, 2, 3]},
        {"y": None},
    ],
)
def test_a_python_model_must_return_the_declared_outputs(prediction: dict[str, Any]) -> None:
    with pytest.raises(PredictionFailed, match=r"slipway\.yaml declares"):
        _tensors(_manifest("python", "python", outputs=[Y]), prediction)
