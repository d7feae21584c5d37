"""Opens zip files of unknown origin: their directory is bounded before it is read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from slipway_core.errors import ModelInvalid
from slipway_core.package.bounded_reads import BoundedReads

DIRECTORY_BYTES_PER_FILE = 512
"""The room that the directory has for the name and the attributes of each file, on average."""
MAX_MEMBERS = 100_000
"""Members of a program of torch: one for each tensor, and a few of code."""
_MAX_END_BYTES = 128 * 1024  # the end record, its comment, and the search for them


@contextmanager
def open_zip(path: Path, max_files: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip file of at most `max_files` files.

    Raises ModelInvalid when it has more, and what zipfile raises when it is damaged.
    """
    message = f"the archive holds more than {max_files} files, or too long names"
    with path.open("rb") as file:
        reads = BoundedReads(file, message)
        reads.allow(max_files * DIRECTORY_BYTES_PER_FILE + _MAX_END_BYTES)
        with zipfile.ZipFile(cast(IO[bytes], reads)) as bundle:
            reads.allow(None)
            if len(bundle.infolist()) > max_files:
                raise ModelInvalid(f"the archive holds more than {max_files} files")
            yield bundle
