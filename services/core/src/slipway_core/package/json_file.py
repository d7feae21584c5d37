"""Reads the small JSON files of a package."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from slipway_core.errors import ModelInvalid

MAX_JSON_BYTES = 4 * 1024 * 1024
"""Room for the labels of tens of thousands of classes."""

T = TypeVar("T")


def read_json(path: Path, kind: type[T]) -> T:
    """Read a file as `kind`, without building what `kind` does not declare. Raises ModelInvalid."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
    except FileNotFoundError:
        raise ModelInvalid(f"the package has no {path.name} at {path}") from None
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_JSON_BYTES:
        raise ModelInvalid(f"{path} is larger than {MAX_JSON_BYTES} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelInvalid(f"{path}: {error}") from None
