"""The policy by which batches leave cores to competing programs."""

from __future__ import annotations

from slipway_core.engines.yielding import FIRST_PAUSE, YIELD_AFTER_SLOW_BATCHES, YieldPolicy


def test_cores_are_left_to_competing_programs_and_tried_again() -> None:
    yielding = YieldPolicy(2)
    for _ in range(YIELD_AFTER_SLOW_BATCHES):
        assert not yielding.should_yield()
        yielding.observe(seconds=0.03, cpu_seconds=0.025)
    decisions = [yielding.should_yield() for _ in range(FIRST_PAUSE + 1)]
    assert decisions == [True] * FIRST_PAUSE + [False]
    yielding.observe(seconds=0.03, cpu_seconds=0.025)
    assert sum(yielding.should_yield() for _ in range(10 * FIRST_PAUSE)) == 2 * FIRST_PAUSE


def test_a_batch_that_has_the_cores_resets_the_policy() -> None:
    yielding = YieldPolicy(2)
    for _ in range(YIELD_AFTER_SLOW_BATCHES - 1):
        yielding.observe(seconds=0.03, cpu_seconds=0.025)
    yielding.observe(seconds=0.003, cpu_seconds=0.0059)
    yielding.observe(seconds=0.03, cpu_seconds=0.025)
    assert not yielding.should_yield()
