"""A memory cgroup for a process, as a container has one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryGroup:
    """A cgroup of either version, or none where this machine lets us make none: then `reason` says
    why.
    """

    folder: Path | None
    reason: str = ""

    def add(self, pid: int) -> None:
        """Move a process into the group. Its children will belong to it too."""
        if self.folder is not None:
            (self.folder / "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """Return how many processes of the group the kernel has killed for memory."""
        if self.folder is None:
            return 0
        for name in ("memory.events", "memory.oom_control"):
            if (self.folder / name).exists():
                lines = (self.folder / name).read_text().splitlines()
                return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
        return 0


@contextmanager
def memory_group(name: str, max_bytes: int) -> Iterator[MemoryGroup]:
    """Make a group with a limit of memory and no swap, for the time of a block. All of its
    processes must have ended then.
    """
    try:
        folder = _make(name, max_bytes)
    except OSError as error:
        yield MemoryGroup(None, f"no memory cgroup can be made here: {error}")
        return
    try:
        yield MemoryGroup(folder)
    finally:
        with suppress(OSError):
            folder.rmdir()


def _make(name: str, max_bytes: int) -> Path:
    version_2 = (ROOT / "cgroup.controllers").exists()
    controller, limit = ("", "memory.max") if version_2 else ("memory", "memory.limit_in_bytes")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == controller:
            parent = ROOT / controller / path.strip("/")
            break
    else:
        raise OSError("the kernel has no memory controller")
    folder = (parent if parent.exists() else ROOT / controller) / f"{name}-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / limit).write_text(str(max_bytes))
        with suppress(OSError):  # where the kernel counts no swap
            (folder / "memory.swap.max").write_text("0")
    except OSError:
        folder.rmdir()
        raise
    return folder
