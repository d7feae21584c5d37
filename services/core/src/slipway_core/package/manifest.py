"""The structure of slipway.yaml, the manifest of a model package.

Unknown keys are rejected, so that a typo is an error and not a silent default. The file is read and
checked by `manifest_file`.
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
    """How a decoded image is converted to the tensor.

    It is resized to the input's height and width, scaled to 0..1, and normalised by `mean` and
    `std`, which have one number for each channel.
    """

    mean: list[float] = []
    std: list[float] = []


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input or output tensor.

    The first dimension of `shape` is the batch; -1 stands for any size. `columns` name the numbers
    in a row of an input; `labels` name those in a row of an output, which `activation` turns into
    scores.
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


class SandboxDemands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model's code needs beyond its package, its libraries and a scratch folder.

    `read` and `write` hold absolute paths. The settings of the service must grant all of it.
    """

    network: bool = False
    read: list[str] = []
    write: list[str] = []


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of slipway.yaml, and the sha256 of its package (`digest`, not in the file).

    `sample` is an input that the model must answer when it is loaded.
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
    sandbox: SandboxDemands = SandboxDemands()
    digest: str = ""

    def weights_file(self) -> str:
        """Return the name of the weights file; the default depends on the runtime."""
        return self.files.weights or DEFAULT_WEIGHTS[self.runtime]

    def served_modalities(self) -> list[str]:
        """Return the values of `{modality}` in `/predict/{modality}` that this model answers."""
        if self.modalities:
            return list(self.modalities)
        if self.task == "tensor":
            return ["image"] if any(spec.image for spec in self.inputs) else ["tabular"]
        return ["text"]


def shape_fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    """Return whether a tensor's shape matches a declared one, in which -1 stands for any size."""
    return len(shape) == len(declared) and all(
        expected in (-1, size) for expected, size in zip(declared, shape, strict=True)
    )
