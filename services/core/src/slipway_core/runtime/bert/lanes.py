"""Shares texts out among threads that compute side by side, each on a core of its own.

One forward pass on N cores makes them wait for each other after each of its hundred operations; N
passes on a core each never wait. They share one copy of the weights, which N processes would not.
A pass alone, however, is quicker on all cores, as long as no other program wants one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

Share = list[int]

# All N cores compute one pass about N ** this as fast as one core: 1.5 times on two.
TOGETHER_EXPONENT = 0.6
# Of the cores' time, the least that a pass on all of them gets when it has them for itself: the
# server's own work between two passes takes some of it.
UNDISTURBED = 0.5
STRIKES = 3
FIRST_PAUSE, LONGEST_PAUSE = 16, 512


class Lanes:
    """`count` threads for shares, and the caller's thread with all cores for a pass alone.

    Make it in the thread that calls torch: that one computes on `count` cores afterwards.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        if count == 1:
            return
        self._neighbours = Neighbours(count)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lane")
        together = Barrier(count)

        def take_one_core() -> None:
            # A thread's first question after it, or its first operation, sets the number to the
            # process's last one. A lane with two would make libgomp, which then has more threads
            # than there are cores, stop spinning: a pass alone took twice as long.
            torch.get_num_threads()
            torch.set_num_threads(1)
            together.wait()

        for started in [self._threads.submit(take_one_core) for _ in range(count)]:
            started.result()
        torch.set_num_threads(count)

    def run(self, compute: Callable[[Share], None], lengths: Sequence[int]) -> None:
        """Call `compute` with indices of `lengths`, every one once, in as many shares as are best.

        The first error of any share is raised when all have ended.
        """
        shares = share_out(lengths, self.count)
        if len(shares) == 1 and self.count == 1:
            compute(shares[0])
        elif len(shares) == 1 and not self._neighbours.disturb():
            began, cpu_began = time.perf_counter(), time.process_time()
            compute(shares[0])
            self._neighbours.observe(time.perf_counter() - began, time.process_time() - cpu_began)
        else:
            computing = [self._threads.submit(compute, share) for share in shares]
            errors = [error for each in computing if (error := each.exception()) is not None]
            if errors:
                raise errors[0]


class Neighbours:
    """Whether other programs want the cores, so that a pass is better off with one of them.

    A pass on all cores ends with the last of them: where another program holds one, the others spin
    and wait, and it takes longer than on one core. Some such passes (the first ones of a shape
    look the same) make it pause, for longer each time.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._strikes = 0
        self._pause = FIRST_PAUSE
        self._left = 0

    def disturb(self) -> bool:
        """Whether the next pass is to leave the other cores alone; asked once for each."""
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def observe(self, seconds: float, cpu_seconds: float) -> None:
        """What a pass on all cores took, and how much of the cores' time it got."""
        if cpu_seconds >= UNDISTURBED * self._cores * seconds:
            self._strikes, self._pause = 0, FIRST_PAUSE
            return
        self._strikes += 1
        if self._strikes >= STRIKES:
            self._left = self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)


def share_out(lengths: Sequence[int], lanes: int) -> list[Share]:
    """Indices of `lengths` (at least one) in shares of about equal sums, at most `lanes`; or all
    in one, where the longest share alone would take longer than all on all cores.
    """
    shares: list[Share] = [[] for _ in range(min(lanes, len(lengths)))]
    sums = [0] * len(shares)
    for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        lightest = sums.index(min(sums))
        shares[lightest].append(index)
        sums[lightest] += lengths[index]
    if max(sums) * lanes**TOGETHER_EXPONENT > sum(lengths):
        return [list(range(len(lengths)))]
    return shares
