"""Unpacks untrusted .tar.gz and .zip archives.

Nothing is written outside the target. Links and devices are rejected. Sizes and counts are limited
by what is really read, whatever the archive claims.
"""

from __future__ import annotations

import errno
import gzip
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from slipway_core.errors import ModelInvalid
from slipway_core.package.file_names import member_path
from slipway_core.package.limits import Limits

COPY_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_PADDING_BYTES = 1024 * 1024


@dataclass(frozen=True)
class _Member:
    """A member of an archive; `content` is None for a folder."""

    name: str
    content: IO[bytes] | None


def unpack(archive: Path, target: Path, limits: Limits) -> None:
    """Unpack `archive` into the new folder `target`.

    Raises ModelInvalid; the caller then deletes `target`.
    """
    target.mkdir(parents=True)
    members = _members(archive)
    count, size = 0, 0
    try:
        for member in members:
            count += 1
            if count > limits.max_files:
                raise ModelInvalid(f"the archive holds more than {limits.max_files} files")
            size += _write(member, target, limits.max_unpacked_bytes - size)
    except ModelInvalid:
        raise
    except OSError as error:
        if not isinstance(error, gzip.BadGzipFile) and error.errno != errno.EINVAL:
            raise  # not the archive's fault: the disk may be full
        raise _damaged(error) from error
    except Exception as error:  # the decoders raise many kinds of errors on damaged content
        raise _damaged(error) from error


def _write(member: _Member, target: Path, max_bytes: int) -> int:
    """Write one member and return its size in bytes."""
    path = target / member_path(member.name)
    try:
        if member.content is None:
            path.mkdir(parents=True, exist_ok=True)
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.content, path.open("xb") as file:
            return _copy(member.content, file, max_bytes)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ModelInvalid(f"the archive holds {member.name!r} twice") from None


def _copy(source: IO[bytes], file: IO[bytes], max_bytes: int) -> int:
    size = 0
    while chunk := source.read(COPY_BYTES):
        size += len(chunk)
        if size > max_bytes:
            raise ModelInvalid("the archive is larger, unpacked, than this service accepts")
        file.write(chunk)
    return size


def _members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"\x1f\x8b"):
        return _tar_members(archive)
    if start.startswith(b"PK"):
        return _zip_members(archive)
    raise ModelInvalid(
        "the file is not an archive that Slipway unpacks: it must be a .tar.gz or a .zip"
    )


def _tar_members(archive: Path) -> Iterator[_Member]:
    with gzip.open(archive, "rb") as unzipped:
        bounded = cast(IO[bytes], _BoundedReads(unzipped))
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            for member in tar:
                if member.isdir():
                    yield _Member(member.name, None)
                elif member.isreg() and not member.issparse():
                    yield _Member(member.name, tar.extractfile(member))
                else:
                    raise _not_a_file(member.name)
        _check_padding(unzipped)


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as bundle:
        for entry in bundle.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_a_file(entry.filename)
            if entry.filename.endswith("/"):
                yield _Member(entry.filename, None)
            else:
                yield _Member(entry.filename, bundle.open(entry))


def _check_padding(unzipped: gzip.GzipFile) -> None:
    """Read on to the end, so that gzip verifies its checksum; only padding may follow."""
    if len(unzipped.read(MAX_PADDING_BYTES)) == MAX_PADDING_BYTES:
        raise ModelInvalid("the archive is damaged: other data follows its last member")


def _damaged(error: Exception) -> ModelInvalid:
    return ModelInvalid(f"the archive is damaged: {error}")


def _not_a_file(name: str) -> ModelInvalid:
    return ModelInvalid(f"the archive holds {name!r}, a link or device: only files may be in it")


class _BoundedReads:
    """A file for tarfile that rejects the huge single read that a forged header can cause."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ModelInvalid("the archive is damaged: it holds a header of unreasonable size")
        content: bytes = self._file.read(size)
        return content

    def seek(self, position: int, whence: int = 0) -> int:
        offset: int = self._file.seek(position, whence)
        return offset

    def tell(self) -> int:
        offset: int = self._file.tell()
        return offset
