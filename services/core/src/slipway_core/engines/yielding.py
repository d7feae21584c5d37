"""Notices when other programs want the cores that a batch on all of them would use."""

from __future__ import annotations

from slipway_core.engines.cores import joint_speed

# Of the time in which N cores are of use to one batch, the least that it gets when it has them for
# itself: the server's own work between two batches takes some of it.
UNDISTURBED = 0.66
STRIKES = 3
FIRST_PAUSE, LONGEST_PAUSE = 16, 512


class Neighbours:
    """Whether other programs want the cores, so that a batch is better off with one of them.

    A batch on all cores ends with the last of them: where another program holds one, the others
    spin and wait, and it takes longer than on one core. Some such batches (the first ones of a
    shape look the same) make it pause, for longer each time.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._strikes = 0
        self._pause = FIRST_PAUSE
        self._left = 0

    def disturb(self) -> bool:
        """Whether the next batch is to leave the other cores alone; asked once for each."""
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def observe(self, seconds: float, cpu_seconds: float) -> None:
        """What a batch on all cores took, and how much of the cores' time it got."""
        if cpu_seconds >= UNDISTURBED * joint_speed(self._cores) * seconds:
            self._strikes, self._pause = 0, FIRST_PAUSE
            return
        self._strikes += 1
        if self._strikes >= STRIKES:
            self._left = self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
