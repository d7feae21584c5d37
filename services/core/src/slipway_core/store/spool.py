"""Uploads on their way to PostgreSQL: kept in memory, and on disk when they are large.

Clients send as slowly as they like. So their inputs are received completely before a connection to
PostgreSQL is used, which then takes as long as PostgreSQL needs.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import IO, Self

from slipway_core.errors import InsufficientStorage, PayloadTooLarge, TooManyStreams

MAX_MEMORY_BYTES = 256 * 1024
"""Bytes of an upload in memory, also the size of a write to its file."""


class SpoolSpace:
    """The disk space for the uploads of one process, `max_bytes` in `folder`; an empty folder
    stands for that of temporary files.
    """

    def __init__(self, folder: str, max_bytes: int) -> None:
        self._folder = folder or None
        self._max_bytes = max_bytes
        self._used = 0

    def open(self) -> Spool:
        """Return an empty spool: a context manager that gives its space back."""
        return Spool(self)

    def open_file(self) -> IO[bytes]:
        """Return a new file without a name, which vanishes when it is closed."""
        return tempfile.TemporaryFile(dir=self._folder)

    def take(self, count: int, held: int) -> None:
        """Reserve bytes for an upload that holds `held`.

        Raises PayloadTooLarge when it can never fit, and TooManyStreams when it does not now.
        """
        if held + count > self._max_bytes:
            raise PayloadTooLarge(
                f"the inputs of a job take at most {self._max_bytes} bytes while they are received "
                "(SLIPWAY_MAX_SPOOL_BYTES): split it into several jobs"
            )
        if self._used + count > self._max_bytes:
            raise TooManyStreams(
                f"the jobs that are being received fill {self._max_bytes} bytes "
                "(SLIPWAY_MAX_SPOOL_BYTES); try again soon",
                retry_after_seconds=5,
            )
        self._used += count

    def give_back(self, count: int) -> None:
        self._used -= count


class Spool:
    """The bytes of one upload, written once and then read once."""

    def __init__(self, space: SpoolSpace) -> None:
        self._space = space
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self._reserved = 0
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written before cannot be written now either
            self._resources.close()
        self._space.give_back(self._reserved)
        self._reserved = 0

    @property
    def is_on_disk(self) -> bool:
        """Whether it is too large for memory."""
        return self._file is not None

    async def write(self, data: bytes) -> None:
        """Append bytes. Raises PayloadTooLarge, TooManyStreams, or InsufficientStorage when the
        disk is full.
        """
        self._buffer += data
        if len(self._buffer) >= MAX_MEMORY_BYTES:
            await self._write_buffer()

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield everything that was written."""
        if self._file is not None:
            await asyncio.to_thread(self._file.seek, 0)
            while block := await asyncio.to_thread(self._file.read, MAX_MEMORY_BYTES):
                yield block
        yield bytes(self._buffer)

    async def _write_buffer(self) -> None:
        self._space.take(len(self._buffer), self._reserved)
        self._reserved += len(self._buffer)
        try:
            if self._file is None:
                self._file = self._resources.enter_context(self._space.open_file())
            await asyncio.to_thread(self._file.write, bytes(self._buffer))
        except OSError as error:
            raise InsufficientStorage(
                f"the disk for jobs that are being received cannot be written ({error.strerror}); "
                "try again later",
                retry_after_seconds=60,
            ) from error
        self._buffer.clear()
