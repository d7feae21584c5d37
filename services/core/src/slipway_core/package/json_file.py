"""Reads the small JSON files of a package."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from slipway_core.errors import ModelInvalid
from slipway_core.package.bounded_reads import read_small_file

MAX_JSON_BYTES = 4 * 1024 * 1024
"""Room for the labels of tens of thousands of classes."""

T = TypeVar("T")


def read_json(path: Path, kind: type[T]) -> T:
    """Read a file as `kind`, without building what `kind` does not declare. Raises ModelInvalid."""
    try:
        content = read_small_file(path, MAX_JSON_BYTES)
    except FileNotFoundError:
        raise ModelInvalid(f"the package has no {path.name} at {path}") from None
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelInvalid(f"{path}: {error}") from None
