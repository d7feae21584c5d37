"""Folders for what engines write: temporary files, caches of libraries."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

PREFIX = "slipway-engine-"
MIN_AGE_SECONDS = 60
"""Younger folders may belong to a server that is about to lock them."""


class ScratchFolder:
    """A folder of one engine. Its server holds a lock on it, and removes it at the end."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls) -> Self:
        """Create a folder, only for this user. Raises OSError."""
        path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        return cls(path, _lock(path))

    def remove(self) -> None:
        """Remove the folder with all that it holds, as far as that is possible."""
        _remove(self.path)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def remove_abandoned_folders() -> None:
    """Remove the folders of servers of this user that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            age_seconds = time.time() - status.st_mtime
            if status.st_uid != os.getuid() or age_seconds < MIN_AGE_SECONDS:
                continue
            lock = _lock(path)  # raises BlockingIOError while its server lives
            _remove(path)
            os.close(lock)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(path: Path) -> None:
    with contextlib.suppress(RecursionError):  # more levels than can be walked
        shutil.rmtree(path, ignore_errors=True)
