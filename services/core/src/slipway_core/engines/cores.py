"""How many cores this process may use, and how fast several of them are together."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MAX_THREADS_PER_ENGINE = 8
"""The default number of threads is never more than this. Each thread may be a lane with memory of
its own, and a container without a CPU limit sees all cores of its node.
"""
SPEEDUP_EXPONENT = 0.6


def available_cores(cgroup: Path = CGROUP) -> int:
    """Return the usable whole cores, at least 1.

    The result is the smaller of the CPU affinity and the quota, rounded up, of cgroup v2 or v1.
    """
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = _quota_v2(cgroup) or _quota_v1(cgroup)
    return max(1, min(affinity, math.ceil(quota))) if quota else max(1, affinity)


def threads_per_engine(engines: int) -> int:
    """Return the default number of threads of each of `engines` engines: its share of the cores."""
    return max(1, min(available_cores() // engines, MAX_THREADS_PER_ENGINE))


@cache
def parallel_speedup(cores: int) -> float:
    """Return how many times faster `cores` cores compute one batch than one core: 1.5 for two."""
    speedup: float = cores**SPEEDUP_EXPONENT
    return speedup


def _quota_v2(cgroup: Path) -> float | None:
    """`cpu.max` holds "<quota> <period>" in microseconds, or "max <period>" without a limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1(cgroup: Path) -> float | None:
    """`cpu.cfs_quota_us` is -1 without a limit."""
    try:
        quota = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError):
        return None
