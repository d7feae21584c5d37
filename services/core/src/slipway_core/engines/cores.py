"""How many CPUs this process may really use: the control group's quota, not the host's cores."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MOST_THREADS = 8
"""Of an engine that is not told how many. Each may be a lane with memory of its own, and where no
limit is set a container sees all cores of its node.
"""
TOGETHER_EXPONENT = 0.6


def available_cpus(cgroup: Path = CGROUP) -> int:
    """Whole CPUs, at least 1: the smaller of the scheduler's affinity and the quota (rounded up) of
    cgroup v2 or v1.
    """
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = _quota_v2(cgroup) or _quota_v1(cgroup)
    return max(1, min(affinity, math.ceil(quota))) if quota else max(1, affinity)


def threads_of_each(engines: int) -> int:
    """The threads of each engine, where no number is configured: its share of the cores."""
    return max(1, min(available_cpus() // engines, MOST_THREADS))


@cache
def joint_speed(cores: int) -> float:
    """How many times as fast as one core so many compute one batch: 1.5 for two."""
    speed: float = cores**TOGETHER_EXPONENT
    return speed


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
