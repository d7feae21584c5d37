"""The torchscript runtime: a module saved by `torch.jit.save`."""

from __future__ import annotations

import itertools
import warnings
import zipfile

import torch

from slipway_core.errors import ModelInvalid, ModelLoadFailed
from slipway_core.models.exported.tensor_model import (
    LoadedModule,
    TensorModel,
    batch_bounds,
    precision_of,
)
from slipway_core.package.zip_directory import MAX_MEMBERS, open_zip


class TorchScriptModel(TensorModel):
    """A TorchScript module. Its inputs are passed in the order of the manifest."""

    def load_module(self, device: torch.device) -> LoadedModule:
        """Load the module. Raises ModelLoadFailed for a file that is not TorchScript."""
        name = self.manifest.weights_file()
        path = self.folder / name
        try:
            with open_zip(path, MAX_MEMBERS):
                pass  # torch reads a directory of any size
            with warnings.catch_warnings():
                # torch advises to use torch.export instead; this model is exported already.
                warnings.simplefilter("ignore", DeprecationWarning)
                module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, zipfile.BadZipFile, ModelInvalid) as error:
            reason = str(error).partition("\n")[0]
            raise ModelLoadFailed(f"{name} is not a TorchScript module: {reason}") from error
        module.eval()
        weights = list(itertools.chain(module.parameters(), module.buffers()))
        inputs = self.manifest.inputs
        min_rows, max_rows = batch_bounds(inputs[0].shape if inputs else [])
        return LoadedModule(module, precision_of(weights), min_rows, max_rows)
