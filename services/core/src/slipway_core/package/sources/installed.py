"""Finds packages inside installed Python distributions, without importing them."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path, PurePosixPath

from slipway_core.errors import ModelInvalid, ModelNotFound
from slipway_core.package.manifest import MANIFEST_NAME


def find_installed(rest: str) -> tuple[Path, str]:
    """Return the folder and the version of `package://dist` or `package://dist/folder/within`.

    Without a folder in the URI, the distribution must have exactly one that holds a slipway.yaml,
    or else a config.json and a tokenizer.json. Raises ModelNotFound and ModelInvalid.
    """
    name, _, within = rest.strip("/").partition("/")
    try:
        distribution = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        raise ModelNotFound(
            f"the Python package {name} is not installed here: pip install {name}"
        ) from None
    listed = [PurePosixPath(str(file)) for file in distribution.files or ()]
    relative = PurePosixPath(within) if within else _model_folder(name, listed)
    folder = Path(str(distribution.locate_file(relative)))
    if not folder.is_dir():
        raise ModelNotFound(f"the Python package {name} has no folder {relative}")
    return folder, distribution.version


def _model_folder(name: str, files: list[PurePosixPath]) -> PurePosixPath:
    names: dict[PurePosixPath, set[str]] = {}
    for file in files:
        names.setdefault(file.parent, set()).add(file.name)
    folders = [folder for folder, held in names.items() if MANIFEST_NAME in held]
    folders = folders or [
        folder for folder, held in names.items() if {"config.json", "tokenizer.json"} <= held
    ]
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise ModelInvalid(
            f"the Python package {name} lists no folder with a {MANIFEST_NAME}, "
            "or a config.json and a tokenizer.json; for an editable install give the folder as "
            "file://"
        )
    choices = ", ".join(f"package://{name}/{folder}" for folder in sorted(folders))
    raise ModelInvalid(f"the Python package {name} holds several models: use one of {choices}")
