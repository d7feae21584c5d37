"""Reads and checks the slipway.yaml of a package."""

from __future__ import annotations

from pathlib import Path

from slipway_core.errors import ModelInvalid
from slipway_core.package.bounded_reads import read_small_file
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
        content = read_small_file(path, MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        raise ModelInvalid(f"{folder} has no {MANIFEST_NAME}") from None
    manifest = parse_manifest(content)
    check_manifest(manifest, folder)
    return manifest
