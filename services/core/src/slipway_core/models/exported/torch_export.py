"""The torch-export runtime: a program saved by `torch.export.save` (.pt2)."""

from __future__ import annotations

import contextlib
import os
import pickle  # for its exception only
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export.passes import move_to_device_pass

from slipway_core.errors import ModelInvalid, ModelLoadFailed, PickleRefused
from slipway_core.models.exported.tensor_model import LoadedModule, TensorModel, precision_of
from slipway_core.models.exported.text_tokens import TEXT_INPUTS
from slipway_core.models.exported.torch_types import TORCH_TYPES
from slipway_core.package.manifest import MANIFEST_NAME, TensorSpec, shape_fits
from slipway_core.package.zip_directory import MAX_MEMBERS, open_zip

CODE_MEMBERS = ("custom_obj_", "opaque_obj_", "aotinductor/")
"""Parts of the names of archive members that hold pickled objects or compiled code."""


class TorchExportModel(TensorModel):
    """An exported program. Its inputs are passed in the order of the manifest."""

    def load_module(self, device: torch.device) -> LoadedModule:
        """Load the program.

        Raises PickleRefused when it holds code, ModelLoadFailed when it cannot be read, and
        ModelInvalid when it differs from the manifest.
        """
        name = self.manifest.weights_file()
        path = self.folder / name
        if not self.options.allow_pickle:
            _reject_code(path)
        try:
            with _weights_only(enabled=not self.options.allow_pickle):
                program = torch.export.load(path)
        except pickle.UnpicklingError as error:
            raise _code_refused(name, "pickled objects") from error
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ModelLoadFailed(
                f"{name} is not a program that torch.export saved: {reason}"
            ) from error
        min_rows, max_rows = _check_inputs(program, self.manifest.inputs or TEXT_INPUTS)
        program = move_to_device_pass(program, device)
        precision = precision_of(list(program.state_dict.values()))
        return LoadedModule(program.module(), precision, min_rows, max_rows)


def _reject_code(path: Path) -> None:
    try:
        with open_zip(path, MAX_MEMBERS) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ModelInvalid) as error:
        raise ModelLoadFailed(
            f"{path.name} is not a program that torch.export saved: {error}"
        ) from error
    for name in names:
        if any(part in name for part in CODE_MEMBERS):
            raise _code_refused(path.name, name)


def _code_refused(archive: str, member: str) -> PickleRefused:
    return PickleRefused(
        f"{archive} holds {member}, and loading that runs code from the package: export the model "
        "without custom objects, or set SLIPWAY_ALLOW_PICKLE=true if you trust it"
    )


@contextlib.contextmanager
def _weights_only(*, enabled: bool) -> Iterator[None]:
    """Make torch unpickle tensors only, even where torch.export requests more."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    previous = os.environ.get(name)
    if enabled:
        os.environ[name] = "1"
    try:
        yield
    finally:
        if previous is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = previous


def _check_inputs(
    program: torch.export.ExportedProgram, specs: Sequence[TensorSpec]
) -> tuple[int, int | None]:
    """Return the minimum and maximum rows of a batch.

    Raises ModelInvalid when the manifest differs from the program.
    """
    names = set(program.graph_signature.user_inputs)
    nodes = [
        node for node in program.graph.nodes if node.op == "placeholder" and node.name in names
    ]
    if len(nodes) != len(specs):
        raise ModelInvalid(
            f"{MANIFEST_NAME}: `inputs` has {len(specs)} entries, but the program takes "
            f"{len(nodes)}: {', '.join(node.name for node in nodes)}"
        )
    bounds = []
    for index, (node, spec) in enumerate(zip(nodes, specs, strict=True)):
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            raise ModelInvalid(f"{MANIFEST_NAME}: `inputs.{index}` is no tensor in the program")
        _check_input(f"inputs.{index}", spec, value)
        bounds.append(_row_bounds(program, value.shape[0]))
    max_rows = min((high for _, high in bounds if high is not None), default=None)
    return max((low for low, _ in bounds), default=1), max_rows


def _check_input(key: str, spec: TensorSpec, value: torch.Tensor) -> None:
    if value.dtype != TORCH_TYPES[spec.datatype]:
        raise ModelInvalid(
            f"{MANIFEST_NAME}: `{key}.datatype` is {spec.datatype}, but the program takes "
            f"{value.dtype}"
        )
    exported = [size if isinstance(size, int) else -1 for size in value.shape]
    if not shape_fits(spec.shape, exported):
        raise ModelInvalid(
            f"{MANIFEST_NAME}: `{key}.shape` is {spec.shape}, but the program was exported for "
            f"{exported}: write that, or export it again with dynamic_shapes"
        )


def _row_bounds(program: torch.export.ExportedProgram, size: Any) -> tuple[int, int | None]:
    """Return the minimum and maximum size that the program allows for a dimension."""
    if isinstance(size, int):
        return size, size
    allowed = program.range_constraints.get(size.node.expr)
    if allowed is None:
        return 1, None
    low, high = (int(end) if end.is_Integer else None for end in (allowed.lower, allowed.upper))
    return max(1, low or 1), high
