"""Loads the model of a package, in an engine process.

Runtimes are imported on first use: they need torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slipway_core.errors import ModelError, ModelLoadFailed
from slipway_core.models.failure_location import describe_failure
from slipway_core.models.model import LoadOptions, Model
from slipway_core.package.manifest import Manifest


def load_model(folder: Path, manifest: Manifest, options: LoadOptions) -> Model:
    """Load the model of the package in `folder`, and check it with two small batches.

    Raises ModelInvalid, PickleRefused, or ModelLoadFailed with the cause.
    """
    from slipway_core.models.self_check import check_model

    model = _RUNTIMES[manifest.runtime](folder, manifest)
    model.folder, model.manifest, model.options = folder, manifest, options
    try:
        model.load()
    except ModelError:
        raise
    except BaseException as error:  # a model may call sys.exit()
        reason = describe_failure(error, folder)
        raise ModelLoadFailed(f"the model {manifest.name} could not be loaded: {reason}") from error
    check_model(model)
    return model


def _bert(folder: Path, manifest: Manifest) -> Model:
    from slipway_core.models.bert import BertModel

    return BertModel()


def _torch_export(folder: Path, manifest: Manifest) -> Model:
    from slipway_core.models.exported.torch_export import TorchExportModel

    return TorchExportModel()


def _torchscript(folder: Path, manifest: Manifest) -> Model:
    from slipway_core.models.exported.torchscript import TorchScriptModel

    return TorchScriptModel()


def _python(folder: Path, manifest: Manifest) -> Model:
    from slipway_core.models.python_model import make_python_model

    return make_python_model(folder, manifest)


_RUNTIMES: dict[str, Callable[[Path, Manifest], Model]] = {
    "bert": _bert,
    "torch-export": _torch_export,
    "torchscript": _torchscript,
    "python": _python,
}
