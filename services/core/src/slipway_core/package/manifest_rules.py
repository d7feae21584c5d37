"""Checks the keys of slipway.yaml against each other and against the files of the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slipway_core.errors import ModelInvalid
from slipway_core.package.datatypes import IMAGE_DATATYPES
from slipway_core.package.file_names import package_path
from slipway_core.package.manifest import MANIFEST_NAME, Manifest, Runtime, Task, TensorSpec

TASKS_BY_RUNTIME: dict[Runtime, tuple[Task, ...]] = {
    "bert": ("text-embedding", "text-classification"),
    "torch-export": ("tensor", "text-classification"),
    "torchscript": ("tensor", "text-classification"),
    "python": ("python", "text-embedding", "text-classification", "tensor"),
}


def check_manifest(manifest: Manifest, folder: Path) -> None:
    """Check all rules. Raises ModelInvalid for the first one that is broken."""
    _check_task(manifest)
    _check_modalities(manifest)
    _check_unique("labels", manifest.labels)
    for key, specs in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        _check_unique(key, [spec.name for spec in specs])
        for index, spec in enumerate(specs):
            _check_tensor(f"{key}.{index}", spec)
    if manifest.task == "tensor":
        _check_tensor_inputs(manifest)
    for key in ("read", "write"):
        for path in getattr(manifest.sandbox, key):
            if not path.startswith("/") or ".." in path.split("/"):
                raise _invalid(f"sandbox.{key}", f"must hold absolute paths, not {path!r}")
    _check_files(manifest, folder)


def _invalid(key: str, rule: str) -> ModelInvalid:
    return ModelInvalid(f"{MANIFEST_NAME}: `{key}` {rule}")


def _check_task(manifest: Manifest) -> None:
    allowed = TASKS_BY_RUNTIME[manifest.runtime]
    if manifest.task not in allowed:
        raise _invalid(
            "task",
            f"is {manifest.task}, which the runtime {manifest.runtime} does not support; "
            f"it supports {', '.join(allowed)}",
        )
    exported = manifest.runtime in ("torch-export", "torchscript")
    if exported and manifest.task == "text-classification":
        if len(manifest.labels) < 2:
            raise _invalid(
                "labels", "must name at least two classes, in the order of the model's output"
            )
        known = ("input_ids", "attention_mask", "token_type_ids")
        for index, spec in enumerate(manifest.inputs):
            if spec.name not in known:
                raise _invalid(
                    f"inputs.{index}.name", f"must be one of {', '.join(known)} for text"
                )


def _check_modalities(manifest: Manifest) -> None:
    _check_unique("modalities", manifest.modalities)
    if manifest.task == "tensor":
        only = ["image"] if any(spec.image for spec in manifest.inputs) else ["tabular"]
    elif manifest.task in ("text-embedding", "text-classification"):
        only = ["text"]
    else:
        return
    if manifest.modalities and manifest.modalities != only:
        raise _invalid("modalities", f"must be {only} for this model, or left out")


def _check_unique(key: str, names: Sequence[str]) -> None:
    if "" in names:
        raise _invalid(key, "must not hold an empty name")
    seen = set()
    for name in names:
        if name in seen:
            raise _invalid(key, f"must not name anything twice: {name[:60]}")
        seen.add(name)


def _check_tensor(key: str, spec: TensorSpec) -> None:
    if any(size < 1 and size != -1 for size in spec.shape):
        raise _invalid(f"{key}.shape", "must hold sizes of at least 1, or -1 for any size")
    width = spec.shape[1] if len(spec.shape) == 2 else None
    for name, values in (("columns", spec.columns), ("labels", spec.labels)):
        _check_unique(f"{key}.{name}", values)
        if values and spec.shape and width not in (len(values), -1):
            raise _invalid(
                f"{key}.{name}",
                f"has {len(values)} names, so `{key}.shape` must be [-1, {len(values)}]",
            )
    if spec.image is not None:
        _check_image(key, spec)


def _check_image(key: str, spec: TensorSpec) -> None:
    if len(spec.shape) != 4 or spec.shape[1] not in (1, 3) or -1 in spec.shape[1:]:
        raise _invalid(f"{key}.shape", "of an image must be [-1, 1 or 3, height, width]")
    if spec.datatype not in IMAGE_DATATYPES:
        raise _invalid(
            f"{key}.datatype", f"of an image must be one of {', '.join(IMAGE_DATATYPES)}"
        )
    image = spec.image
    for name in ("mean", "std"):
        numbers: list[float] = getattr(image, name)
        if numbers and spec.datatype == "UINT8":
            raise _invalid(f"{key}.image.{name}", "needs a datatype of FP16, FP32 or FP64")
        if numbers and len(numbers) != spec.shape[1]:
            raise _invalid(
                f"{key}.image.{name}", f"must have {spec.shape[1]} numbers, one a channel"
            )
    if image is not None and any(number <= 0 for number in image.std):
        raise _invalid(f"{key}.image.std", "must be greater than 0")


def _check_tensor_inputs(manifest: Manifest) -> None:
    if not manifest.inputs:
        raise _invalid(
            "inputs", "must describe the tensors of a tensor model: name, datatype and shape"
        )
    if not manifest.outputs:
        raise _invalid("outputs", "must name the tensors that the model returns, in order")
    if any(spec.image for spec in manifest.inputs) and len(manifest.inputs) > 1:
        raise _invalid("inputs", "must have a single entry for an image model")
    for index, spec in enumerate(manifest.inputs):
        if not spec.shape:
            raise _invalid(
                f"inputs.{index}.shape", "must be given, such as [-1, 4] for rows of 4 numbers"
            )
        if spec.datatype == "BYTES":
            raise _invalid(
                f"inputs.{index}.datatype", "must be a number type: BYTES is not for torch"
            )
        if spec.shape[0] != manifest.inputs[0].shape[0]:
            raise _invalid(
                f"inputs.{index}.shape", "must have the same batch size as the first input"
            )
        if spec.columns and len(spec.shape) != 2:
            raise _invalid(
                f"inputs.{index}.columns", "need a shape of two dimensions, such as [-1, 4]"
            )


def _check_files(manifest: Manifest, folder: Path) -> None:
    files = manifest.files
    required: dict[str, str] = {}
    if manifest.runtime != "python" or files.weights:
        required["weights"] = manifest.weights_file()
    if manifest.runtime == "python":
        required["module"] = files.module
        if not files.entrypoint.isidentifier():
            raise _invalid("files.entrypoint", "must be the name of a class")
    elif manifest.task != "tensor":
        required["tokenizer"] = files.tokenizer
    if manifest.runtime == "bert":
        required["config"] = files.config
    for key, name in required.items():
        try:
            path = package_path(name)
        except ValueError as error:
            raise _invalid(f"files.{key}", str(error)) from None
        if not (folder / path).is_file():
            raise _invalid(f"files.{key}", f"names {name}, which the package does not hold")
