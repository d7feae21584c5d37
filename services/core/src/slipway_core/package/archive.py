"""Unpacks untrusted .tar.gz and .zip archives.

Nothing is written outside the target. Links and devices are rejected. Sizes and counts are limited
by what is really read, whatever the archive claims.
"""

from __future__ import annotations

import errno
import gzip
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from slipway_core.errors import ModelInvalid
from slipway_core.package.bounded_reads import BoundedReads
from slipway_core.package.file_names import member_path
from slipway_core.package.limits import Limits
from slipway_core.package.zip_directory import open_zip

COPY_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024
"""All headers of one member of a tar: a name takes 512 bytes, or 2 KiB when it is long. They are
kept in memory, and some are read by a recursion.
"""
MAX_GLOBAL_HEADERS = 100
MAX_PADDING_BYTES = 1024 * 1024
# Before Python 3.11.10, tarfile searches headers for a time that is quadratic in such a row.
_MANY_DIGITS = re.compile(rb"[0-9]{100}")


@dataclass(frozen=True)
class Member:
    """A member of an archive; `content` is None for a folder."""

    name: str
    content: IO[bytes] | None

    @property
    def path(self) -> PurePosixPath:
        """The path below the folder. Raises ModelInvalid when it leads outside."""
        return member_path(self.name)


def unpack(archive: Path, target: Path, limits: Limits) -> None:
    """Unpack `archive` into the new folder `target`.

    Raises ModelInvalid; the caller then deletes `target`.
    """
    target.mkdir(parents=True)
    size = 0
    with damage_explained():
        for member in read_members(archive, limits):
            size += _write(member, target, limits.max_unpacked_bytes - size)


def read_members(archive: Path, limits: Limits) -> Iterator[Member]:
    """Yield the members of an archive, whose content must be read before the next one.

    Raises ModelInvalid, and within `damage_explained` nothing else.
    """
    for count, member in enumerate(_members(archive, limits)):
        if count >= limits.max_files:
            raise ModelInvalid(f"the archive holds more than {limits.max_files} files")
        yield member


@contextmanager
def damage_explained() -> Iterator[None]:
    """Raise ModelInvalid for all errors that the content of an archive can cause."""
    try:
        yield
    except ModelInvalid:
        raise
    except RecursionError:
        raise ModelInvalid("the archive is damaged: a member has too many headers") from None
    except OSError as error:
        if not isinstance(error, gzip.BadGzipFile) and error.errno != errno.EINVAL:
            raise  # not the archive's fault: the disk may be full
        raise _damaged(error) from error
    except Exception as error:  # the decoders raise many kinds of errors on damaged content
        raise _damaged(error) from error


def _write(member: Member, target: Path, max_bytes: int) -> int:
    """Write one member and return its size in bytes."""
    path = target / member.path
    try:
        if member.content is None:
            path.mkdir(parents=True, exist_ok=True)
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.content, path.open("xb") as file:
            return _copy(member.content, file, max_bytes)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ModelInvalid(f"the archive holds {member.name[:200]!r} twice") from None


def _copy(source: IO[bytes], file: IO[bytes], max_bytes: int) -> int:
    size = 0
    while chunk := source.read(COPY_BYTES):
        size += len(chunk)
        if size > max_bytes:
            raise ModelInvalid("the archive is larger, unpacked, than this service accepts")
        file.write(chunk)
    return size


def _members(archive: Path, limits: Limits) -> Iterator[Member]:
    with archive.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"\x1f\x8b"):
        return _tar_members(archive)
    if start.startswith(b"PK"):
        return _zip_members(archive, limits)
    raise ModelInvalid(
        "the file is not an archive that Slipway unpacks: it must be a .tar.gz or a .zip"
    )


def _tar_members(archive: Path) -> Iterator[Member]:
    with gzip.open(archive, "rb") as unzipped:
        message = "the archive is damaged: it holds a header of unreasonable size"
        reads = BoundedReads(cast(IO[bytes], unzipped), message, _MANY_DIGITS)
        reads.allow(MAX_HEADER_BYTES)
        with tarfile.open(fileobj=cast(IO[bytes], reads), mode="r:") as tar:
            while member := tar.next():
                reads.allow(None)
                if member.isdir():
                    yield Member(member.name, None)
                elif member.isreg() and not member.issparse():
                    yield Member(member.name, tar.extractfile(member))
                else:
                    raise _not_a_file(member.name)
                tar.members.clear()  # type: ignore[attr-defined]  # else the headers of all members stay in memory
                if len(tar.pax_headers) > MAX_GLOBAL_HEADERS:
                    raise ModelInvalid(f"the archive has over {MAX_GLOBAL_HEADERS} global headers")
                reads.allow(MAX_HEADER_BYTES)
        _check_padding(unzipped)


def _zip_members(archive: Path, limits: Limits) -> Iterator[Member]:
    with open_zip(archive, limits.max_files) as bundle:
        for entry in bundle.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_a_file(entry.filename)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ModelInvalid(
                    f"the archive holds {entry.filename[:200]!r}, which is compressed in another "
                    "way than by deflate: make it with `zip -r`"
                )
            if entry.filename.endswith("/"):
                yield Member(entry.filename, None)
            else:
                yield Member(entry.filename, bundle.open(entry))


def _check_padding(unzipped: gzip.GzipFile) -> None:
    """Read on to the end, so that gzip verifies its checksum; only padding may follow."""
    if len(unzipped.read(MAX_PADDING_BYTES)) == MAX_PADDING_BYTES:
        raise ModelInvalid("the archive is damaged: other data follows its last member")


def _damaged(error: Exception) -> ModelInvalid:
    return ModelInvalid(f"the archive is damaged: {error}")


def _not_a_file(name: str) -> ModelInvalid:
    return ModelInvalid(
        f"the archive holds {name[:200]!r}, a link or device: only files may be in it"
    )
