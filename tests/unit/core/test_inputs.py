"""Inputs become Items; errors name the field and the rule."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from tests.fixtures.pictures import png_of

from slipway_core.errors import InvalidInput, UnknownModality
from slipway_core.inputs.cost import estimate_tokens
from slipway_core.inputs.image_header import ImageLimits
from slipway_core.inputs.items import Item
from slipway_core.inputs.parsing import MAX_IMAGE_BYTES, parse_input, parse_rows
from slipway_core.inputs.stored_form import from_stored, to_stored
from slipway_core.package.manifest import ImageInput, Manifest, TensorSpec

PICTURE = png_of(4, 4)
EMBEDDER = Manifest(name="e", task="text-embedding", runtime="bert", max_input_tokens=256)
PEOPLE = Manifest(
    name="p",
    task="tensor",
    runtime="torchscript",
    inputs=[TensorSpec(name="x", shape=[-1, 2], columns=["age", "height"])],
)
TWO_INPUTS = Manifest(
    name="t",
    task="tensor",
    runtime="torchscript",
    inputs=[
        TensorSpec(name="user", datatype="INT64", shape=[-1, 2]),
        TensorSpec(name="seen", shape=[-1, -1, 3]),
    ],
)
IMAGE = Manifest(
    name="i",
    task="tensor",
    runtime="torchscript",
    inputs=[TensorSpec(name="x", shape=[-1, 3, 8, 8], image=ImageInput())],
)
OPEN = Manifest(name="o", task="python", runtime="python", modalities=["text", "tabular"])


def field_of(error: pytest.ExceptionInfo[InvalidInput]) -> str:
    return error.value.errors[0].field


# Texts


def test_a_text_is_not_changed() -> None:
    item = parse_input(EMBEDDER, "text", " Hello, 世界! ", field="input_text", labels=["a", "b"])
    assert (item.value, item.labels) == (" Hello, 世界! ", ("a", "b"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "must be a text, not null"),
        (True, "must be a text, not a boolean"),
        (3, "must be a text, not a number"),
        (["a"], "must be a text, not a list"),
        ({"a": 1}, "must be a text, not an object"),
        ("", "must not be empty"),
        (" \n\t", "must not be empty"),
        ("a" * 1_000_001, "must have at most 1000000 characters"),
        ("a\0b", "NUL"),
        ("a\ud800b", "surrogate"),
    ],
)
def test_invalid_texts_are_rejected(raw: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        parse_input(EMBEDDER, "text", raw, field="inputs.3.input_text")
    assert field_of(error) == "inputs.3.input_text"


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        (["a", "a"], "labels.1"),
        (["a", " "], "labels.1"),
        (["a", 3], "labels.1"),
        ([str(n) for n in range(101)], "labels"),
        ("ab", "labels"),
    ],
)
def test_invalid_labels_are_rejected(labels: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_input(EMBEDDER, "text", "x", field="input_text", labels=labels)
    assert field_of(error) == field


def test_only_embedding_models_accept_labels() -> None:
    fixed = Manifest(name="c", task="text-classification", runtime="torchscript", labels=["a", "b"])
    for manifest in (fixed, OPEN):
        with pytest.raises(InvalidInput, match="`labels` are not taken by this model"):
            parse_input(manifest, "text", "x", field="input_text", labels=["q"])


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ([1], "parameters"),
        ({"a": math.nan}, "parameters.a"),
        ({"a": [1, math.inf]}, "parameters.a.1"),
        ({"a": "x\0"}, "parameters.a"),
        ({"a\0": 1}, "parameters"),
        ({"a": list(range(20_000))}, "parameters"),
        (json.loads('{"a":' * 50 + "1" + "}" * 50), "parameters"),
    ],
)
def test_parameters_that_cannot_be_stored_are_rejected(parameters: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_input(EMBEDDER, "text", "x", field="input_text", parameters=parameters)
    assert field_of(error) == field


def test_an_unknown_modality_is_rejected_with_the_served_ones() -> None:
    with pytest.raises(UnknownModality, match="serves text, not 'image'"):
        parse_input(EMBEDDER, "image", b"x", field="input")
    with pytest.raises(UnknownModality, match="serves text, not 'tabular'"):
        parse_rows(EMBEDDER, [[1]], field="inputs")


# Images


def test_the_limits_of_images_can_be_set() -> None:
    limits = ImageLimits(max_pixels=100, max_side=20)
    assert parse_input(IMAGE, "image", png_of(5, 20), field="image", image_limits=limits)
    for size in ((6, 20), (1, 21)):
        with pytest.raises(InvalidInput, match="SLIPWAY_MAX_IMAGE"):
            parse_input(IMAGE, "image", png_of(*size), field="image", image_limits=limits)


def test_an_image_is_accepted_as_bytes_or_base64() -> None:
    encoded = base64.b64encode(PICTURE).decode()
    for raw in (PICTURE, encoded, f"data:image/png;base64,{encoded}"):
        assert parse_input(IMAGE, "image", raw, field="input_image").value == PICTURE


def test_base64_may_have_the_line_breaks_of_mime() -> None:
    content = PICTURE + bytes(200)
    for text in (base64.encodebytes(content), base64.encodebytes(content).replace(b"\n", b"\r\n")):
        raw = text.decode()
        assert parse_input(IMAGE, "image", raw, field="image").value == content
        raw = f"data:image/png;base64,{raw}"
        assert parse_input(IMAGE, "image", raw, field="image").value == content


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "must not be empty"),
        (" \r\n", "must not be empty"),
        (b"", "must not be empty"),
        ("not base64!", "in base64: Only base64 data is allowed"),
        ("héllo", "must be base64: it has characters outside ASCII"),
        ("abc", "in base64: Incorrect padding"),
        ("QUJD\nQQ==QUJD", "in base64: Excess data after padding"),
        (3, "must be an image in base64, not a number"),
        (bytes(MAX_IMAGE_BYTES + 1), "at most"),
        ("A" * (MAX_IMAGE_BYTES * 2), "at most"),
        (b"%PDF-1.7", "must be a whole image in one of PNG, JPEG, WEBP, GIF, BMP, TIFF"),
        (PICTURE[:20], "must be a whole image"),
        (png_of(1, 40_000_000), r"1 x 40000000 pixels.*SLIPWAY_MAX_IMAGE_SIDE"),
        (png_of(9_000, 9_000), r"9000 x 9000 pixels.*SLIPWAY_MAX_IMAGE_PIXELS"),
    ],
)
def test_invalid_images_are_rejected(raw: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        parse_input(IMAGE, "image", raw, field="input_image")
    assert field_of(error) == "input_image"


# Stored inputs and their cost


@pytest.mark.parametrize(
    ("manifest", "modality", "raw"),
    [
        (EMBEDDER, "text", "hello"),
        (PEOPLE, "tabular", [1, 2]),
        (TWO_INPUTS, "tabular", {"user": [1, 2], "seen": [[1, 2, 3]]}),
        (IMAGE, "image", PICTURE),
    ],
)
def test_a_stored_input_is_restored(manifest: Manifest, modality: str, raw: Any) -> None:
    item = parse_input(manifest, modality, raw, field="input", parameters={"a": 1})
    stored = json.loads(json.dumps(to_stored(item)))
    assert from_stored(modality, stored, item.labels, item.parameters) == item


def test_the_estimated_cost_grows_up_to_the_limit_of_the_model() -> None:
    def cost(text: str, *labels: str) -> int:
        item = parse_input(EMBEDDER, "text", text, field="input", labels=labels)
        return estimate_tokens(EMBEDDER, item)

    assert 1 <= cost("hi") < cost("a sentence of some length, not long") < 50
    assert cost("word " * 10_000) == 256
    assert cost("hi", "first", "second") > cost("hi")
    assert estimate_tokens(PEOPLE, parse_input(PEOPLE, "tabular", [1, 2], field="x")) == 1
    assert estimate_tokens(PEOPLE, Item("tabular", [[0.0] * 512] * 10)) == 11
    assert estimate_tokens(IMAGE, Item("image", png_of(1, 1) + bytes(40 * 4096))) == 41
    assert estimate_tokens(IMAGE, Item("image", png_of(224, 224))) == 7
    assert estimate_tokens(IMAGE, Item("image", png_of(5_000, 5_000))) == 3_052
