"""Exported models that cannot be served, or that would run code, fail at load with a reason."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.fixtures.exported_models import PackageMaker, load_package, tensors, write_manifest

from slipway_core.errors import ModelInvalid, ModelLoadFailed, PickleRefused


class Doubler(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class FirstRow(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:1]


class Logarithm(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x)


def test_an_output_without_a_row_per_input_stops_the_load(
    script_package: PackageMaker,
) -> None:
    with pytest.raises(ModelLoadFailed, match=r"batch of 2 .* one row for each input"):
        load_package(script_package(FirstRow(), tensors([-1, 2])))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([{"name": "y"}, {"name": "z"}], "gave 1 outputs, but `outputs` of slipway.yaml has 2"),
        ([{"name": "y", "shape": [-1, 3]}], r"has shape \[1, 2\], but `outputs` .* \[-1, 3\]"),
        ([{"name": "y", "labels": ["a", "b", "c"]}], r"has shape \[1, 2\], but there are 3 labels"),
    ],
)
def test_outputs_that_differ_from_the_manifest_stop_the_load(
    script_package: PackageMaker, outputs: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ModelLoadFailed, match=message):
        load_package(script_package(Doubler(), tensors([-1, 2]) | {"outputs": outputs}))


def test_a_sample_that_fails_stops_the_load(script_package: PackageMaker) -> None:
    with pytest.raises(ModelLoadFailed, match="the sample: the model's output y is not finite"):
        load_package(script_package(Logarithm(), tensors([-1, 1]) | {"sample": [0]}))
    with pytest.raises(ModelInvalid, match="`sample` must have 1 value, not 2"):
        load_package(script_package(Logarithm(), tensors([-1, 1]) | {"sample": [1, 2]}))


@pytest.mark.parametrize(
    ("shape", "more", "message"),
    [
        ([-1, 2], {}, r"`inputs.0.shape` is \[-1, 2\], but the program was exported for \[4, 2\]"),
        ([4, 3], {}, r"`inputs.0.shape` is \[4, 3\], but"),
        ([4, 2], {"datatype": "INT64"}, "`inputs.0.datatype` is INT64, but .* torch.float32"),
    ],
)
def test_inputs_that_differ_from_the_export_stop_the_load(
    export_package: PackageMaker, shape: list[int], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelInvalid, match=message):
        load_package(export_package(Doubler(), torch.zeros(4, 2), None, tensors(shape, **more)))


@pytest.mark.parametrize("runtime", ["torchscript", "torch-export"])
def test_weights_of_another_format_stop_the_load(tmp_path: Path, runtime: str) -> None:
    for name in ("model.pt", "model.pt2"):
        (tmp_path / name).write_bytes(b"these are no weights")
    folder = write_manifest(tmp_path, {"runtime": runtime, **tensors([-1, 2])})
    with pytest.raises(ModelLoadFailed, match=r"model.pt2? is not a"):
        load_package(folder)


def test_an_export_with_pickled_objects_is_rejected(export_package: PackageMaker) -> None:
    shapes = {0: torch.export.Dim("batch", min=1)}
    folder = export_package(Doubler(), torch.zeros(2, 2), shapes, tensors([-1, 2]))
    with zipfile.ZipFile(folder / "model.pt2", "a") as archive:
        archive.writestr("model/data/constants/opaque_obj_0", b"")
    with pytest.raises(PickleRefused, match="opaque_obj_0, and loading that runs code"):
        load_package(folder)
    assert load_package(folder, allow_pickle=True).describe().device == "cpu"


def test_code_hidden_in_the_sample_inputs_of_an_export_does_not_run(
    export_package: PackageMaker, tmp_path: Path
) -> None:
    shapes = {0: torch.export.Dim("batch", min=1)}
    folder = export_package(Doubler(), torch.zeros(2, 2), shapes, tensors([-1, 2]))
    trap = io.BytesIO()
    torch.save((Trap(str(tmp_path / "sprung")),), trap)
    original, forged = folder / "model.pt2", folder / "forged.pt2"
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(forged, "w") as target:
        for entry in source.infolist():
            hidden = "sample_inputs" in entry.filename
            target.writestr(entry, trap.getvalue() if hidden else source.read(entry))
    forged.rename(original)

    with pytest.raises(PickleRefused, match="holds pickled objects"):
        load_package(folder)

    assert not (tmp_path / "sprung").exists()


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self._path),)


def test_unsupported_options_are_rejected(script_package: PackageMaker) -> None:
    folder = script_package(torch.nn.Linear(2, 2), tensors([-1, 2]))
    assert load_package(folder, precision="fp32").describe().precision == "fp32"
    with pytest.raises(ModelInvalid, match=r"computes in fp32.*SLIPWAY_PRECISION to auto"):
        load_package(folder, precision="bf16")
    if not torch.cuda.is_available():
        with pytest.raises(ModelLoadFailed, match="torch finds no GPU"):
            load_package(folder, device="cuda")
