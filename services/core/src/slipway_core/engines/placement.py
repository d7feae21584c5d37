"""Keeps the threads of an engine on a core each, where the process has just as many cores.

Linux wakes a thread where its waker runs, or where it ran before, and looks for an idle core at
that moment only: when the server or a client is about to leave one, two of an engine's threads
share the other for up to 15 ms, while it stays idle. Where there are more cores than threads the
scheduler finds an idle one, and a fixed choice might be another engine's, too.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

import structlog

from slipway_core.engines.yielding import Neighbours

log = structlog.get_logger("slipway.engine")

_TEAM_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def cores_of_threads(count: int) -> list[int]:
    """A core for each of `count` threads; none when the process may use more cores, or fewer."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    return allowed if count > 1 and len(allowed) == count else []


class OwnCore:
    """The core of the calling thread, which it leaves for a while when other programs want it: the
    scheduler may know a better one.
    """

    def __init__(self, core: int) -> None:
        self._core = {core}
        self._all = os.sched_getaffinity(0)
        self._allowed = self._all
        self._neighbours = Neighbours(cores=1)

    def take(self) -> None:
        """Be there for the next batch; called before each."""
        wanted = self._all if self._neighbours.disturb() else self._core
        if wanted != self._allowed and _stay_on(wanted):
            self._allowed = wanted

    def observe(self, seconds: float, cpu_seconds: float) -> None:
        """What a batch took, and how much of that time its thread computed."""
        if self._allowed == self._core:
            self._neighbours.observe(seconds, cpu_seconds)


def place_team(cores: Sequence[int]) -> None:
    """Keep the threads that share the calling thread's products on a core each.

    With more than two the calling thread itself stays free: libgomp may end some of the others for
    a smaller product, and those that it starts again inherit where the calling thread may go.
    """
    library = ctypes.CDLL(None)
    try:
        run_on_each, number_of = library.GOMP_parallel, library.omp_get_thread_num
    except AttributeError:  # torch was built with another library for threads
        return

    def stay(_: object) -> None:
        number = number_of()
        if number > 0 or len(cores) == 2:
            _stay_on({cores[number]})

    run_on_each(_TEAM_FUNCTION(stay), None, ctypes.c_uint(len(cores)), ctypes.c_uint(0))


def _stay_on(cores: set[int]) -> bool:
    """Whether the calling thread could be kept there."""
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:  # it was taken from the container meanwhile
        log.warning("a thread cannot stay on its core", cores=sorted(cores), cause=str(error))
        return False
    return True
