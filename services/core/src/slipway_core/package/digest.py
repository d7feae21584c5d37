"""The sha256 that identifies a package.

For an archive it is the sha256 of the file. For a folder it is the sha256 of the output of
`sha256sum` for its files in the order of their paths:

    cd FOLDER && find -L . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum |
    sha256sum

Folders named .git, .cache or __pycache__ are ignored, and so is everything whose name starts with
two dots (a mounted Kubernetes volume keeps its versions there).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from slipway_core.errors import ModelInvalid
from slipway_core.package.file_names import is_left_out, is_unsafe

MAX_FILES = 100_000


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Return the digest of a folder's paths and contents.

    Raises ModelInvalid for entries that are neither files nor folders.
    """
    paths = sorted(package_files(folder), key=lambda path: path.encode("utf-8"))
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{file_digest(folder / path)}  {path}\n".encode())
    return total.hexdigest()


def remove_left_out(folder: Path) -> None:
    """Delete what the digest does not cover, so that nothing else can be loaded."""
    for root, folders, files in os.walk(folder):
        for name in [name for name in folders if is_left_out(name)]:
            folders.remove(name)
            shutil.rmtree(os.path.join(root, name))
        for name in files:
            if name.startswith(".."):
                os.unlink(os.path.join(root, name))


def all_files(folder: Path) -> set[str] | None:
    """Return the relative paths (with /) of all files of a folder, also of those that the digest
    leaves out; None when it holds links or devices.
    """
    paths = set()
    for root, folders, files in os.walk(folder, onerror=_raise_unreadable):
        for name in folders:
            if os.path.islink(os.path.join(root, name)):
                return None
        for name in files:
            path = os.path.join(root, name)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return None
            paths.add(os.path.relpath(path, folder).replace(os.sep, "/"))
    return paths


def package_files(folder: Path) -> Iterator[str]:
    """Yield the relative paths (with /) of the files of a package, in no particular order."""
    count = 0
    for root, folders, files in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if not is_left_out(name)]
        for name in folders:
            if os.path.islink(os.path.join(root, name)):
                raise ModelInvalid(
                    f"{root}/{name} is a link to a folder: put the folder itself there"
                )
        for name in files:
            if name.startswith(".."):
                continue
            count += 1
            if count > MAX_FILES:
                raise ModelInvalid(
                    f"{folder} holds more than {MAX_FILES} files: is it the model's folder?"
                )
            yield _check_file(folder, os.path.join(root, name))


def _check_file(folder: Path, path: str) -> str:
    relative = os.path.relpath(path, folder).replace(os.sep, "/")
    if is_unsafe(relative):
        raise ModelInvalid(
            f"the file name {relative!r} has control characters or backslashes: rename it"
        )
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ModelInvalid(f"{path} is neither a file nor a folder: remove it from the package")
    return relative


def _raise_unreadable(error: OSError) -> None:
    raise ModelInvalid(f"{error.filename} cannot be read: {error.strerror}") from error
