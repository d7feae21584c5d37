"""How much memory a server takes: the proportional set size of its process and all below it.

Pages that several processes share count once in the sum, so engines that share weights are not
counted twice.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psutil

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """MiB of a process tree, `seconds` after the first sample."""

    seconds: float
    mebibytes: float


def tree_mebibytes(pid: int) -> float:
    """The proportional set size of a process and its descendants; 0 when it has ended."""
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
    """Takes a sample of several trees every `seconds` while the `with` block runs."""

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

    def most(self, name: str) -> float:
        """The largest sample in MiB."""
        return max(sample.mebibytes for sample in self.samples[name])

    def at(self, name: str, seconds: float) -> float:
        """The MiB of the sample nearest to that time."""
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
