"""When batches leave cores to competing programs."""

from __future__ import annotations

from slipway_core.engines.yielding import FIRST_PAUSE, YIELD_AFTER_SLOW_BATCHES, YieldPolicy


def test_busy_neighbours_are_given_way_and_tried_again() -> None:
    yielding = YieldPolicy(2)
    for _ in range(YIELD_AFTER_SLOW_BATCHES):
        assert not yielding.should_yield()
        yielding.observe(seconds=0.03, cpu_seconds=0.025)
    answers = [yielding.should_yield() for _ in range(FIRST_PAUSE + 1)]
    assert answers == [True] * FIRST_PAUSE + [False]
    yielding.observe(seconds=0.03, cpu_seconds=0.025)
    assert sum(yielding.should_yield() for _ in range(10 * FIRST_PAUSE)) == 2 * FIRST_PAUSE


def test_having_the_cores_ends_the_caution() -> None:
    yielding = YieldPolicy(2)
    for _ in range(YIELD_AFTER_SLOW_BATCHES - 1):
        yielding.observe(seconds=0.03, cpu_seconds=0.025)
    yielding.observe(seconds=0.003, cpu_seconds=0.0059)
    yielding.observe(seconds=0.03, cpu_seconds=0.025)
    assert not yielding.should_yield()
