"""Pins the threads of an engine to one core each, where there are just as many cores.

Linux wakes a thread where its waker runs, or where it ran before, and looks for an idle core at
that moment only. When the server or a client is about to leave a core, two threads of an engine
share the other one for up to 15 ms, while the first stays idle. With more cores than threads the
scheduler finds an idle core, and a fixed choice might collide with another engine's.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

import structlog

from slipway_core.engines.yielding import YieldPolicy

log = structlog.get_logger("slipway.engine")

_TEAM_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def cores_for_threads(count: int) -> list[int]:
    """Return a core for each of `count` threads; empty unless the process has just as many."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    return allowed if count > 1 and len(allowed) == count else []


class PinnedCore:
    """The core of the calling thread.

    The thread leaves it for a while when other programs compete for it: the scheduler may know a
    better one.
    """

    def __init__(self, core: int) -> None:
        self._core = {core}
        self._all_cores = os.sched_getaffinity(0)
        self._affinity = self._all_cores
        self._yielding = YieldPolicy(cores=1)

    def pin(self) -> None:
        """Pin the thread for the next batch, or release it. Call it before each batch."""
        affinity = self._all_cores if self._yielding.should_yield() else self._core
        if affinity != self._affinity and _pin_to(affinity):
            self._affinity = affinity

    def observe(self, seconds: float, cpu_seconds: float) -> None:
        """Record the duration of a batch, and the CPU time of its thread."""
        if self._affinity == self._core:
            self._yielding.observe(seconds, cpu_seconds)


def pin_team(cores: Sequence[int]) -> None:
    """Pin libgomp's threads, which share the products of the calling thread, to one core each.

    With more than two threads the calling thread itself stays free: libgomp may end some of the
    others for a smaller product, and those it starts again inherit the caller's affinity.
    """
    library = ctypes.CDLL(None)
    try:
        run_on_each, thread_number = library.GOMP_parallel, library.omp_get_thread_num
    except AttributeError:  # torch was built with another threading library
        return

    def pin(_: object) -> None:
        number = thread_number()
        if number > 0 or len(cores) == 2:
            _pin_to({cores[number]})

    run_on_each(_TEAM_FUNCTION(pin), None, ctypes.c_uint(len(cores)), ctypes.c_uint(0))


def _pin_to(cores: set[int]) -> bool:
    """Pin the calling thread; return whether that worked."""
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:  # the core was taken from the container meanwhile
        log.warning("a thread cannot stay on its core", cores=sorted(cores), cause=str(error))
        return False
    return True
