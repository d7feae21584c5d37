"""Pinning of engine threads to cores, and its suspension."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.fixtures.tiers import needs_two_cores

from slipway_core.engines.placement import PinnedCore, cores_for_threads
from slipway_core.engines.yielding import FIRST_PAUSE, YIELD_AFTER_SLOW_BATCHES

T = TypeVar("T")

pytestmark = needs_two_cores


def test_threads_are_pinned_if_there_is_exactly_one_core_for_each() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert cores_for_threads(len(allowed)) == allowed
    assert cores_for_threads(len(allowed) - 1) == [], "the scheduler finds an idle one"
    assert cores_for_threads(len(allowed) + 1) == []


def test_a_single_thread_is_not_pinned() -> None:
    def alone() -> list[int]:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        return cores_for_threads(1)

    assert in_a_thread(alone) == []


def test_a_thread_leaves_its_core_for_a_while_if_others_use_it() -> None:
    everywhere = os.sched_getaffinity(0)
    own = {max(everywhere)}

    def compute(count: int, share: float) -> list[set[int]]:
        affinities = []
        for _ in range(count):
            core.pin()
            affinities.append(os.sched_getaffinity(0))
            core.observe(0.01, 0.01 * share)
        return affinities

    def run_all_phases() -> tuple[list[set[int]], ...]:
        return (
            compute(YIELD_AFTER_SLOW_BATCHES, 0.5),
            compute(FIRST_PAUSE, 1.0),
            compute(1, 0.5),
            compute(2 * FIRST_PAUSE, 1.0),
            compute(1, 1.0),
        )

    core = PinnedCore(max(everywhere))
    disturbed, away, tried, longer_away, back = in_a_thread(run_all_phases)
    assert disturbed == [own] * YIELD_AFTER_SLOW_BATCHES
    assert away == [everywhere] * FIRST_PAUSE
    assert tried == [own]
    assert longer_away == [everywhere] * FIRST_PAUSE * 2
    assert back == [own]
    assert os.sched_getaffinity(0) == everywhere, "other threads are not affected"


def in_a_thread(function: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()
