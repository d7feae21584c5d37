"""Uploads that are kept on disk until they are complete."""

from __future__ import annotations

from typing import IO

import pytest

from slipway_core.errors import InsufficientStorage
from slipway_core.store.spool import MAX_MEMORY_BYTES, SpoolSpace


class FullDisk(SpoolSpace):
    """Space on a device on which every write fails, that of a file's buffer at its end included."""

    def open_file(self) -> IO[bytes]:
        file = open("/dev/full", "wb")  # noqa: SIM115 - the spool closes it
        file.write(b"the rest of a write that did not fit")
        return file


async def test_a_full_disk_refuses_uploads_and_keeps_no_space() -> None:
    space = FullDisk("", 4 * MAX_MEMORY_BYTES)
    for _ in range(10):
        with pytest.raises(InsufficientStorage, match="No space left"), space.open() as spool:
            await spool.write(b"x" * (MAX_MEMORY_BYTES + 1))
