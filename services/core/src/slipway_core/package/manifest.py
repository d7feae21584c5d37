"""`slipway.yaml`: what a model package says about itself.

The format is fixed by `Manifest`; unknown keys are refused, so that a typo is an error and not a
silent default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from slipway_core.package.datatypes import Datatype

Task = Literal["text-embedding", "text-classification", "tensor", "python"]
Runtime = Literal["bert", "torch-export", "torchscript", "python"]

NAME_PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
MANIFEST_NAME = "slipway.yaml"
DEFAULT_WEIGHTS: dict[Runtime, str] = {
    "bert": "model.safetensors",
    "torch-export": "model.pt2",
    "torchscript": "model.pt",
    "python": "",
}


class ImageInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a decoded picture becomes the tensor.

    It is resized to the input's height and width, scaled to 0..1, and normalised when `mean` and
    `std` are given: they have one number for each channel.
    """

    mean: list[float] = []
    std: list[float] = []


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor that goes in or comes out.

    -1 in `shape` stands for any size, and its first dimension is the batch. `columns` name the
    numbers of an input's row; `labels` name the numbers of an output's row, which `activation`
    turns into scores.
    """

    name: str
    datatype: Datatype = "FP32"
    shape: list[int] = []
    columns: list[str] = []
    labels: list[str] = []
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    image: ImageInput | None = None


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the files inside the package, relative to its folder."""

    weights: str = ""
    tokenizer: str = "tokenizer.json"
    config: str = "config.json"
    module: str = "model.py"
    entrypoint: str = "Model"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of slipway.yaml, and the sha256 of the package it came in.

    `sample` is an input that the model must answer when it is loaded. `digest` is empty in the file
    itself.
    """

    name: Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "1"
    task: Task
    runtime: Runtime
    description: str = ""
    labels: list[str] = []
    max_input_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    modalities: list[Literal["text", "tabular", "image"]] = []
    files: Files = Files()
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    sample: Any = None
    digest: str = ""

    def weights_file(self) -> str:
        """The file of the weights, by default the one that the runtime's tools usually write."""
        return self.files.weights or DEFAULT_WEIGHTS[self.runtime]

    def served_modalities(self) -> list[str]:
        """The `{modality}` of `/predict/{modality}` that this model answers."""
        if self.modalities:
            return list(self.modalities)
        if self.task == "tensor":
            return ["image"] if any(spec.image for spec in self.inputs) else ["tabular"]
        return ["text"]


def shape_fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    """Whether a tensor's shape is a declared one, in which -1 stands for any size."""
    return len(shape) == len(declared) and all(
        want in (-1, size) for want, size in zip(declared, shape, strict=True)
    )
