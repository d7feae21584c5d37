"""How texts are shared out among the cores, and when a pass alone gets all of them."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_core.runtime.bert.lanes import (
    FIRST_PAUSE,
    STRIKES,
    Lanes,
    Neighbours,
    share_out,
)


@given(st.lists(st.integers(1, 256), min_size=1, max_size=80), st.integers(1, 8))
def test_every_text_is_in_one_share(lengths: list[int], lanes: int) -> None:
    shares = share_out(lengths, lanes)
    assert len(shares) <= lanes
    assert sorted(index for share in shares for index in share) == list(range(len(lengths)))
    assert all(shares)


def test_many_texts_make_shares_of_equal_cost() -> None:
    lengths = [5 + 7 * index % 60 for index in range(40)]
    shares = share_out(lengths, 2)
    sums = [sum(lengths[index] for index in share) for share in shares]
    assert max(sums) - min(sums) <= 3


@pytest.mark.parametrize("lengths", [[20], [256, 10, 10, 10]])
def test_a_text_that_is_most_of_the_work_gets_all_cores(lengths: list[int]) -> None:
    assert len(share_out(lengths, 2)) == 1


def test_shares_are_computed_at_the_same_time() -> None:
    lanes = Lanes(2)
    together = threading.Barrier(2, timeout=20)
    lanes.run(lambda share: (together.wait(), None)[1], [10, 10])


def test_an_error_of_a_share_reaches_the_caller() -> None:
    def fail(share: list[int]) -> None:
        if 1 in share:
            raise ValueError("the second text")

    with pytest.raises(ValueError, match="the second text"):
        Lanes(2).run(fail, [10, 10])


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
