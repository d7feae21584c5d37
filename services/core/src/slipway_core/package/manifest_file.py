"""Reads and checks the slipway.yaml of a package."""

from __future__ import annotations

from pathlib import Path

from slipway_core.errors import ModelInvalid
from slipway_core.package.manifest import MANIFEST_NAME, Manifest
from slipway_core.package.manifest_rules import check_manifest
from slipway_core.package.manifest_yaml import parse_manifest

MAX_MANIFEST_BYTES = 1024 * 1024


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder/slipway.yaml`.

    Raises ModelInvalid that names the invalid key and its allowed values.
    """
    path = folder / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise ModelInvalid(f"{folder} has no {MANIFEST_NAME}") from None
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_MANIFEST_BYTES:
        raise ModelInvalid(f"{path} is larger than {MAX_MANIFEST_BYTES} bytes")
    manifest = parse_manifest(content)
    check_manifest(manifest, folder)
    return manifest
