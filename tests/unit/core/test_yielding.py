"""When a batch leaves the other cores to programs that want them."""

from __future__ import annotations

from slipway_core.engines.yielding import FIRST_PAUSE, STRIKES, Neighbours


def test_busy_neighbours_are_given_way_and_tried_again() -> None:
    neighbours = Neighbours(2)
    for _ in range(STRIKES):
        assert not neighbours.disturb()
        neighbours.observe(seconds=0.03, cpu_seconds=0.025)
    assert [neighbours.disturb() for _ in range(FIRST_PAUSE + 1)] == [True] * FIRST_PAUSE + [False]
    neighbours.observe(seconds=0.03, cpu_seconds=0.025)
    assert sum(neighbours.disturb() for _ in range(10 * FIRST_PAUSE)) == 2 * FIRST_PAUSE


def test_having_the_cores_ends_the_caution() -> None:
    neighbours = Neighbours(2)
    for _ in range(STRIKES - 1):
        neighbours.observe(seconds=0.03, cpu_seconds=0.025)
    neighbours.observe(seconds=0.003, cpu_seconds=0.0059)
    neighbours.observe(seconds=0.03, cpu_seconds=0.025)
    assert not neighbours.disturb()
