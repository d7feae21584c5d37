"""Limits how much of a file is read, whatever the file claims."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from slipway_core.errors import ModelInvalid


def read_small_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises FileNotFoundError, and ModelInvalid when it cannot be read or is larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > max_bytes:
        raise ModelInvalid(f"{path} is larger than {max_bytes} bytes")
    return content


class BoundedReads:
    """A file, as far as the decoders of archives, tarfile and zipfile, use one.

    Reading more than allowed, or what matches `forbidden`, raises ModelInvalid with `message`.
    """

    def __init__(
        self, file: IO[bytes], message: str, forbidden: re.Pattern[bytes] | None = None
    ) -> None:
        self._file = file
        self._message = message
        self._forbidden = forbidden
        self._left: int | None = 0

    def allow(self, count: int | None) -> None:
        """Allow `count` more bytes, in place of what was left; None allows any bytes."""
        self._left = count

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes; all that are left when it is negative."""
        if self._left is None:
            return self._file.read(size)
        content = self._file.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(content)
        if self._left < 0 or (self._forbidden and self._forbidden.search(content)):
            raise ModelInvalid(self._message)
        return content

    def seek(self, position: int, whence: int = 0) -> int:
        """Move to a position, and return it."""
        return self._file.seek(position, whence)

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()
