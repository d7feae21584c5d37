"""Measure memory as the proportional set size of a process and its descendants.

Pages that several processes share count once in the sum, such as the weights shared by engines.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psutil

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """The MiB of a process tree, `seconds` after the start."""

    seconds: float
    mebibytes: float


def tree_mebibytes(pid: int) -> float:
    """Return the MiB of a process and its descendants; 0 when the process has ended."""
    total = 0
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / MEBIBYTE


class MemoryWatch:
    """Samples of several process trees, taken every `seconds` during a `with` block."""

    def __init__(self, trees: dict[str, int], seconds: float) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in trees}
        self._trees = trees
        self._seconds = seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def peak(self, name: str) -> float:
        """Return the largest sample, in MiB."""
        return max(sample.mebibytes for sample in self.samples[name])

    def at(self, name: str, seconds: float) -> float:
        """Return the MiB of the sample nearest to that time."""
        nearest = min(self.samples[name], key=lambda sample: abs(sample.seconds - seconds))
        return nearest.mebibytes

    def _watch(self) -> None:
        began = time.monotonic()
        while True:
            for name, pid in self._trees.items():
                passed = time.monotonic() - began
                self.samples[name].append(Sample(passed, tree_mebibytes(pid)))
            if self._end.wait(self._seconds):
                return
