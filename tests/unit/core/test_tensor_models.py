"""Exported models compute each input as if it were alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.fixtures.exported_models import PackageMaker, load_package, predictions, run, tensors
from tokenizers import Tokenizer, models, pre_tokenizers

from slipway_core.inputs.items import Item
from slipway_core.models.model import Model


class Doubler(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class MeanOfIds(torch.nn.Module):
    """The mean id, which padding without a mask would change."""

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        mean = input_ids.double().mean(dim=1)
        return torch.stack([mean, -mean], dim=1)


class MaskedMeanOfIds(torch.nn.Module):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mean = (input_ids * attention_mask).sum(dim=1).double() / attention_mask.sum(dim=1)
        return torch.stack([mean, -mean], dim=1)


class Logarithm(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x)


class Two(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": a.sum(dim=1) + b, "positive": b, "other": b}


class Channels(torch.nn.Module):
    """The mean of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(dim=(2, 3))


# Rows


def test_predictions_of_rows_are_in_order(script_package: PackageMaker) -> None:
    model = load_package(script_package(Doubler(), tensors([-1, 2])))
    rows = [[n, n + 0.5] for n in range(7)]
    assert predictions(model, rows) == [{"y": [2.0 * n, 2.0 * n + 1]} for n in range(7)]


@pytest.mark.parametrize(
    ("datatype", "row", "expected"),
    [
        ("INT64", [2**40, -3], [2**41, -6]),
        ("INT8", [3, -4], [6, -8]),
        ("FP64", [0.1, 1e200], [0.2, 2e200]),
        ("FP16", [1.5, 2], [3.0, 4.0]),
    ],
)
def test_outputs_have_the_declared_datatypes(
    script_package: PackageMaker, datatype: str, row: list[float], expected: list[float]
) -> None:
    manifest = tensors([-1, 2], datatype=datatype)
    manifest["outputs"][0]["datatype"] = datatype
    assert predictions(load_package(script_package(Doubler(), manifest)), [row]) == [
        {"y": expected}
    ]


def test_outputs_are_cast_as_declared(script_package: PackageMaker) -> None:
    manifest = tensors([-1, 2])
    manifest["outputs"][0]["datatype"] = "BOOL"
    assert predictions(load_package(script_package(Doubler(), manifest)), [[0, 3]]) == [
        {"y": [False, True]}
    ]


def test_rows_of_different_lengths_share_a_batch(script_package: PackageMaker) -> None:
    model = load_package(script_package(Doubler(), tensors([-1, -1])))
    rows = [[1.0], [1.0, 2.0], [3.0], [4.0, 5.0]]
    assert predictions(model, rows) == [{"y": [2 * n for n in row]} for row in rows]


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_a_fixed_batch_size_is_respected(export_package: PackageMaker, count: int) -> None:
    model = load_package(export_package(Doubler(), torch.zeros(4, 2), None, tensors([4, 2])))
    rows = [[float(n), 0.0] for n in range(count)]
    assert predictions(model, rows) == [{"y": [2.0 * n, 0.0]} for n in range(count)]


def test_the_maximum_batch_size_of_an_export_is_respected(export_package: PackageMaker) -> None:
    shapes = {0: torch.export.Dim("batch", min=1, max=5)}
    model = load_package(export_package(Doubler(), torch.zeros(2, 2), shapes, tensors([-1, 2])))
    rows = [[float(n), 1.0] for n in range(12)]
    assert predictions(model, rows) == [{"y": [2.0 * n, 2.0]} for n in range(12)]


def test_several_inputs_and_outputs_are_matched_by_name(script_package: PackageMaker) -> None:
    manifest = {
        "task": "tensor",
        "inputs": [{"name": "a", "shape": [-1, 2]}, {"name": "b", "shape": [-1]}],
        "outputs": [{"name": "positive", "datatype": "BOOL"}, {"name": "sum"}],
    }
    model = load_package(script_package(Two(), manifest))
    expected = {"sum": 13.0, "positive": True}
    assert predictions(model, [{"a": [1, 2], "b": 10}]) == [expected]


def test_only_an_input_without_a_finite_output_fails(script_package: PackageMaker) -> None:
    model = load_package(script_package(Logarithm(), tensors([-1, 1])))
    good, bad = run(model, [[1], [0]])
    assert good.prediction == {"y": [0.0]}
    assert bad.failure is not None
    assert bad.failure.code == "PredictionFailed"
    assert "y is not finite" in bad.failure.message


@pytest.mark.parametrize(
    ("activation", "scores"),
    [("none", [0.0, 2.0]), ("softmax", [0.1192029, 0.8807971]), ("sigmoid", [0.5, 0.8807971])],
)
def test_labels_name_the_best_score(
    script_package: PackageMaker, activation: str, scores: list[float]
) -> None:
    manifest = tensors([-1, 2])
    manifest["outputs"][0] |= {"labels": ["no", "yes"], "activation": activation}
    (prediction,) = predictions(load_package(script_package(Doubler(), manifest)), [[0, 1]])
    assert prediction["y"] == pytest.approx(scores)
    assert prediction["label"] == "yes"
    assert prediction["score"] == pytest.approx(scores[1])
    assert prediction["scores"] == {"no": pytest.approx(scores[0]), "yes": pytest.approx(scores[1])}


# Texts


def write_word_tokenizer(folder: Path) -> None:
    vocabulary = {
        word: number for number, word in enumerate(["pad", "one", "two", "three", "four"])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="pad"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize(
    ("module", "inputs"),
    [(MeanOfIds(), ["input_ids"]), (MaskedMeanOfIds(), ["input_ids", "attention_mask"])],
)
def test_a_text_has_the_same_prediction_alone_and_in_a_batch(
    script_package: PackageMaker, tmp_path: Path, module: torch.nn.Module, inputs: list[str]
) -> None:
    write_word_tokenizer(tmp_path)
    model = load_package(
        script_package(
            module,
            {
                "task": "text-classification",
                "labels": ["high", "low"],
                "max_input_tokens": 3,
                "inputs": [
                    {"name": name, "datatype": "INT64", "shape": [-1, -1]} for name in inputs
                ],
                "outputs": [{"name": "logits"}],
            },
        )
    )
    texts = ["four", "one two three", "one", "two four", "one two three four four"]
    expected = [4.0, 2.0, 1.0, 3.0, 2.0]  # the last is truncated to three tokens

    together = predictions(model, texts, "text")
    alone = [predictions(model, [text], "text")[0] for text in texts]

    assert [prediction["scores"]["high"] for prediction in together] == expected
    assert together == alone
    assert {prediction["label"] for prediction in together} == {"high"}
    assert model.describe().max_input_tokens == 3


# Images


def image_bytes(
    color: Any, size: tuple[int, int] = (20, 10), mode: str = "RGB", kind: str = "PNG"
) -> bytes:
    content = io.BytesIO()
    Image.new(mode, size, color).save(content, format=kind)
    return content.getvalue()


@pytest.fixture
def channels(script_package: PackageMaker) -> Model:
    image = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    manifest = tensors([-1, 3, 4, 4], image=image)
    manifest["outputs"][0]["shape"] = [-1, 3]
    return load_package(script_package(Channels(), manifest))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_images_are_scaled_and_normalised(channels: Model, kind: str) -> None:
    content = image_bytes((255, 0, 255), kind=kind)
    (prediction,) = predictions(channels, [content], "image")
    assert prediction["y"] == pytest.approx([1.0, -1.0, 1.0], abs=0.02)


def test_grey_and_transparent_images_are_converted_to_rgb(channels: Model) -> None:
    for content in (image_bytes(255, mode="L"), image_bytes((255, 255, 255, 9), mode="RGBA")):
        (prediction,) = predictions(channels, [content], "image")
        assert prediction["y"] == pytest.approx([1.0, 1.0, 1.0], abs=0.02)


def test_only_invalid_images_fail(channels: Model) -> None:
    cut = image_bytes((1, 2, 3), size=(200, 200))[:-40]
    huge = image_bytes(0, size=(10_000, 5_000), mode="1")
    values = [b"not an image", image_bytes((255, 0, 0)), cut, huge]
    outcomes = channels.run([Item("image", value) for value in values])
    codes = [outcome.failure.code if outcome.failure else "ok" for outcome in outcomes]
    assert codes == ["InvalidInput", "ok", "InvalidInput", "InvalidInput"]
    assert outcomes[3].failure is not None
    assert "10000 x 5000 pixels" in outcomes[3].failure.message


def test_uint8_pixels_are_not_normalised(script_package: PackageMaker) -> None:
    manifest = tensors([-1, 1, 2, 2], image={}, datatype="UINT8")
    manifest["outputs"][0]["shape"] = [-1, 1]
    model = load_package(script_package(Channels(), manifest))
    pixels = Image.fromarray(np.array([[0, 100], [200, 100]], dtype=np.uint8))
    content = io.BytesIO()
    pixels.save(content, format="PNG")
    assert predictions(model, [content.getvalue()], "image") == [{"y": [100.0]}]
