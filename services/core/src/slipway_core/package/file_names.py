"""Rules for the names of files in a package."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from slipway_core.errors import ModelInvalid

MAX_NAME_BYTES = 1024

_UNSAFE = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]")
_DRIVE = re.compile(r"^[a-zA-Z]:")


def is_unsafe(name: str) -> bool:
    """Return whether a name has control characters, backslashes or half a surrogate pair."""
    return _UNSAFE.search(name) is not None


def member_path(name: str) -> PurePosixPath:
    """Return the path of an archive member below the target folder.

    Raises ModelInvalid for a name that leads, or may lead, outside.
    """
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or is_unsafe(name)
        or _DRIVE.match(name)
        or len(name.encode("utf-8")) > MAX_NAME_BYTES
    ):
        raise ModelInvalid(f"the archive holds {name[:200]!r}, which is not a plain path inside it")
    return path
