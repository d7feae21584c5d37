"""The python runtime: a Model subclass in a module of the package."""

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
from slipway_core.models.failure_location import describe_failure
from slipway_core.models.model import Model
from slipway_core.package.file_names import is_left_out
from slipway_core.package.manifest import MANIFEST_NAME, Manifest

MODULE_NAME = "slipway_packaged_model"


def make_python_model(folder: Path, manifest: Manifest) -> Model:
    """Return an instance of the class that `files.entrypoint` names, not loaded yet.

    The folder is put first on sys.path, so that the module can import others beside it. Raises
    ModelInvalid, and ModelLoadFailed that names file and line.
    """
    module = _import(folder, manifest.files.module)
    name = manifest.files.entrypoint
    entrypoint = getattr(module, name, None)
    if entrypoint is Model:  # the default name, imported by the module to subclass it
        raise ModelInvalid(
            f"{MANIFEST_NAME}: `files.entrypoint` must name your subclass of "
            f"slipway_core.runtime.Model in {manifest.files.module}, such as Shout"
        )
    if not isinstance(entrypoint, type) or not issubclass(entrypoint, Model):
        problem = "does not exist" if entrypoint is None else "is not a class that subclasses it"
        raise ModelInvalid(
            f"{MANIFEST_NAME}: `files.entrypoint` must name a subclass of "
            f"slipway_core.runtime.Model in {manifest.files.module}: {name} {problem}"
        )
    try:
        return entrypoint()
    except BaseException as error:
        raise ModelLoadFailed(f"{name}() failed: {describe_failure(error, folder)}") from error


class _UncachedLoader(SourceFileLoader):
    """Loads modules of the package from source only.

    Compiled files are not covered by the package's digest, so they are neither read nor written.
    """

    def path_stats(self, path: str) -> NoReturn:
        """Hide the date of the source, without which the import system ignores compiled files."""
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
    except BaseException as error:
        raise ModelLoadFailed(
            f"{name} cannot be imported: {describe_failure(error, folder)}"
        ) from error
    return module


def _finder(folder: Path, path: str) -> FileFinder:
    """Return a finder for the package's folder or one below it. Raises ImportError for others.

    It finds nothing in folders that the package's digest does not cover.
    """
    if not Path(path).is_relative_to(folder):
        raise ImportError
    if any(is_left_out(part) for part in Path(path).relative_to(folder).parts):
        return FileFinder(path)
    return FileFinder(
        path, (_UncachedLoader, SOURCE_SUFFIXES), (ExtensionFileLoader, EXTENSION_SUFFIXES)
    )
