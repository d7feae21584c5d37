"""The python runtime: a class of the package's own module that subclasses
slipway_core.runtime.Model.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from slipway_core.errors import ModelInvalid, ModelLoadFailed
from slipway_core.models.failure_location import where_it_failed
from slipway_core.models.model import Model
from slipway_core.package.manifest import MANIFEST_NAME, Manifest

MODULE_NAME = "slipway_packaged_model"


def make_python_model(folder: Path, manifest: Manifest) -> Model:
    """An instance of the class that `files.entrypoint` names, not loaded yet.

    The folder is put first on sys.path, so that the module can import its neighbours; an engine
    process has one model only. Raises ModelInvalid, and ModelLoadFailed naming file and line.
    """
    module = _import(folder, manifest.files.module)
    name = manifest.files.entrypoint
    found = getattr(module, name, None)
    if not isinstance(found, type) or not issubclass(found, Model):
        what = "has no such class" if found is None else "is not a class that subclasses it"
        raise ModelInvalid(
            f"{MANIFEST_NAME}: `files.entrypoint` must name a subclass of "
            "slipway_core.runtime.Model "
            f"in {manifest.files.module}: {name} {what}"
        )
    try:
        return found()
    except Exception as error:
        raise ModelLoadFailed(f"{name}() failed: {where_it_failed(error, folder)}") from error


class _UncachedLoader(SourceFileLoader):
    """Loads modules of the package from their source alone.

    Compiled files are no part of the package's digest, so they are neither read nor written.
    """

    def path_stats(self, path: str) -> NoReturn:
        """Without a date of the source, the import system leaves compiled files alone."""
        raise OSError


def _import(folder: Path, name: str) -> ModuleType:
    sys.path_hooks.insert(0, partial(_finder, folder))
    sys.path.insert(0, str(folder))
    loader = _UncachedLoader(MODULE_NAME, str(folder / name))
    specification = importlib.util.spec_from_loader(MODULE_NAME, loader)
    if specification is None:
        raise ModelInvalid(f"{MANIFEST_NAME}: `files.module` must be a .py file, not {name}")
    module = importlib.util.module_from_spec(specification)
    sys.modules[MODULE_NAME] = module
    try:
        loader.exec_module(module)
    except Exception as error:
        raise ModelLoadFailed(
            f"{name} cannot be imported: {where_it_failed(error, folder)}"
        ) from error
    return module


def _finder(folder: Path, path: str) -> FileFinder:
    """The finder for modules in the package's folder and below; other folders have their own."""
    if not Path(path).is_relative_to(folder):
        raise ImportError
    return FileFinder(
        path, (_UncachedLoader, SOURCE_SUFFIXES), (ExtensionFileLoader, EXTENSION_SUFFIXES)
    )
