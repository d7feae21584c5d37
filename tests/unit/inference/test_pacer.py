"""Turns at a bounded rate."""

from __future__ import annotations

import pytest

from slipway_inference.http.pacing import MAX_TURN_SECONDS, Pacer


def test_a_single_caller_hardly_waits() -> None:
    pacer = Pacer(500)
    assert [pacer.seconds_to_turn(now) for now in (10.0, 20.0)] == pytest.approx([0.002, 0.002])


def test_simultaneous_callers_are_spread_over_time() -> None:
    pacer = Pacer(500)
    turns = [pacer.seconds_to_turn(10.0) for _ in range(250)]
    assert turns == pytest.approx([0.002 * (place + 1) for place in range(250)])
    assert pacer.seconds_to_turn(10.4) == pytest.approx(0.102)


def test_turns_of_callers_that_left_delay_others_for_a_bounded_time() -> None:
    pacer = Pacer(500)
    for _ in range(100_000):
        pacer.seconds_to_turn(10.0)
    assert pacer.seconds_to_turn(10.0) == pytest.approx(MAX_TURN_SECONDS)
