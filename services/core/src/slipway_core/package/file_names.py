"""Rules for the names of files in a package."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from slipway_core.errors import ModelInvalid

MAX_NAME_BYTES = 1024
MAX_DEPTH = 32
"""Folders above a file: a long name could otherwise make hundreds of them."""
LEFT_OUT_FOLDERS = frozenset({".git", ".cache", "__pycache__"})
"""Folders that tools make in a package. The digest does not cover them."""

_UNSAFE = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]")
_DRIVE = re.compile(r"^[a-zA-Z]:")


def is_unsafe(name: str) -> bool:
    """Return whether a name has control characters, backslashes or half a surrogate pair."""
    return _UNSAFE.search(name) is not None


def is_left_out(name: str) -> bool:
    """Return whether the digest leaves out a file or folder of this name, on any file system.

    A mounted volume of Kubernetes keeps its versions in folders that begin with two dots.
    """
    return name.casefold() in LEFT_OUT_FOLDERS or name.startswith("..")


def package_path(name: str) -> PurePosixPath:
    """Return the path of a file in a package that another file names.

    Raises ValueError with the rule, for a path outside the package or its digest.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or is_unsafe(name) or _DRIVE.match(name):
        raise ValueError(f"must be a path inside the package, not {name[:200]!r}")
    for part in path.parts:
        if is_left_out(part):
            raise ValueError(
                f"must not be in {part[:200]!r}, which the sha256 of the package does not cover"
            )
    return path


def member_path(name: str) -> PurePosixPath:
    """Return the path of an archive member below the target folder.

    Raises ModelInvalid for a name that leads, or may lead, outside.
    """
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or len(path.parts) > MAX_DEPTH
        or is_unsafe(name)
        or _DRIVE.match(name)
        or len(name.encode("utf-8")) > MAX_NAME_BYTES
    ):
        raise ModelInvalid(f"the archive holds {name[:200]!r}, which is not a plain path inside it")
    return path
