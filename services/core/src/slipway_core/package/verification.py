"""Verifies that a cached package is the one of a sha256, whoever could write to the cache.

The digest of a folder is computed again, and nothing may be beside the files that it covers. An
archive is hashed again, and compared with what was unpacked from it.
"""

from __future__ import annotations

import os
from pathlib import Path

from slipway_core.errors import ModelInvalid
from slipway_core.package.archive import COPY_BYTES, Member, damage_explained, read_members
from slipway_core.package.digest import all_files, file_digest, folder_digest, package_files
from slipway_core.package.limits import Limits


def is_folder_of(folder: Path, digest: str) -> bool:
    """Return whether the digest covers all files of the folder."""
    try:
        return all_files(folder) == set(package_files(folder)) and folder_digest(folder) == digest
    except (ModelInvalid, OSError):
        return False


def is_archive_of(archive: Path, folder: Path, digest: str, limits: Limits) -> bool:
    """Return whether the archive has the digest, and the folder exactly its files."""
    try:
        return file_digest(archive) == digest and is_unpacked(archive, folder, limits)
    except OSError:
        return False


def is_unpacked(archive: Path, folder: Path, limits: Limits) -> bool:
    """Return whether the folder holds exactly the files of the archive."""
    try:
        others = all_files(folder)
        if others is None:
            return False
        with damage_explained():
            for member in read_members(archive, limits):
                if not _has(folder, member):
                    return False
                others.discard(member.path.as_posix())
    except (ModelInvalid, OSError):
        return False
    return not others


def _has(folder: Path, member: Member) -> bool:
    path = folder / member.path
    if member.content is None:
        return path.is_dir()
    with member.content, path.open("rb", buffering=0) as file:
        while expected := member.content.read(COPY_BYTES):
            if not _continues_with(file.fileno(), expected):
                return False
        return not file.read(1)


def _continues_with(descriptor: int, expected: bytes) -> bool:
    place = 0
    while place < len(expected):
        found = os.read(descriptor, len(expected) - place)
        if not found or found != expected[place : place + len(found)]:
            return False
        place += len(found)
    return True
