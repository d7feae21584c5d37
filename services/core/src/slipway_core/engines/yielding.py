"""Decides when to leave cores to other programs that compute on this machine."""

from __future__ import annotations

from slipway_core.engines.cores import parallel_speedup

MIN_CPU_SHARE = 0.66
"""The share of the usable CPU time that a batch gets at least when no other program competes. The
server's own work between two batches takes some of the rest.
"""
YIELD_AFTER_SLOW_BATCHES = 3
"""The number of slow batches in a row after which the cores are left alone. One or two prove
nothing: the first batches of a shape are slow.
"""
FIRST_PAUSE, MAX_PAUSE = 16, 512
"""The number of batches that yield before the cores are tried again; it doubles each time."""


class YieldPolicy:
    """Notices competing programs by the CPU time that batches on all cores get.

    A batch on N cores ends with the slowest of them. Where another program holds one core, the
    others spin and wait, and the batch takes longer than on a single core.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._slow_batches = 0
        self._pause = FIRST_PAUSE
        self._remaining = 0

    def should_yield(self) -> bool:
        """Return whether the next batch should leave the cores alone. Call it once a batch."""
        if self._remaining == 0:
            return False
        self._remaining -= 1
        return True

    def observe(self, seconds: float, cpu_seconds: float) -> None:
        """Record the duration of a batch that used the cores, and the CPU time it got."""
        if cpu_seconds >= MIN_CPU_SHARE * parallel_speedup(self._cores) * seconds:
            self._slow_batches, self._pause = 0, FIRST_PAUSE
            return
        self._slow_batches += 1
        if self._slow_batches >= YIELD_AFTER_SLOW_BATCHES:
            self._remaining = self._pause
            self._pause = min(2 * self._pause, MAX_PAUSE)
