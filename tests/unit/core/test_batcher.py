"""What callers of the batcher see: which requests are answered, in which order, or rejected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from slipway_core.batching.batcher import Batcher, BatchReport
from slipway_core.batching.request_queue import MAX_DEAD_ENTRIES
from slipway_core.errors import DeadlineExceeded, Draining, PayloadTooLarge, QueueFull
from slipway_core.inputs.items import Item, Outcome


class Engines:
    """A stand-in for the engines. Each batch is answered when the test opens its gate."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.all_cores: list[bool] = []
        self.is_wanted: list[Callable[[], bool]] = []
        self.gates: list[asyncio.Event] = []
        self.error: Exception | None = None

    def run(
        self, items: Sequence[Item], *, all_cores: bool, is_wanted: Callable[[], bool]
    ) -> asyncio.Future[list[Outcome]]:
        gate = asyncio.Event()
        self.all_cores.append(all_cores)
        self.is_wanted.append(is_wanted)
        self.batches.append([item.value for item in items])
        self.gates.append(gate)
        return asyncio.ensure_future(self._answer(gate, items))

    async def _answer(self, gate: asyncio.Event, items: Sequence[Item]) -> list[Outcome]:
        await gate.wait()
        if self.error:
            raise self.error
        return [Outcome(prediction={"echo": item.value}) for item in items]

    async def finish(self, batch: int) -> None:
        self.gates[batch].set()
        await settle()


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def passed(seconds: float) -> None:
    """Let `seconds` of a batch's computing time pass."""
    elapsed = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, elapsed.set)
    await elapsed.wait()


def texts(*values: str) -> list[Item]:
    return [Item("text", value) for value in values]


def batcher_of(computing: Engines, **changes: object) -> Batcher:
    options = {
        "engines": 1,
        "lanes": 1,
        "max_batch_tokens": 100,
        "max_queue_tokens": 1000,
    } | changes
    return Batcher(computing.run, **options)  # type: ignore[arg-type]


def submit(
    batcher: Batcher, *values: str, tokens: int = 10, timeout_seconds: float = 60
) -> asyncio.Task[list[Outcome]]:
    async def ask() -> list[Outcome]:
        costs = [tokens] * len(values)
        return await batcher.submit(texts(*values), costs, timeout_seconds=timeout_seconds)

    return asyncio.create_task(ask())


async def test_an_idle_engine_takes_a_request_at_once() -> None:
    engines = Engines()
    request = submit(batcher_of(engines), "a")
    await settle()
    assert engines.batches == [["a"]]
    await engines.finish(0)
    assert [outcome.prediction for outcome in await request] == [{"echo": "a"}]


async def test_requests_that_wait_for_a_busy_engine_travel_together_in_order() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    requests = [submit(batcher, name) for name in "abcd"]
    await settle()
    await engines.finish(0)
    assert engines.batches == [["a"], ["b", "c", "d"]]
    await engines.finish(1)
    assert [(await request)[0].prediction["echo"] for request in requests] == list("abcd")


async def test_the_next_batch_is_under_way_before_anybody_works_on_answers() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    under_way: list[int] = []

    async def ask(text: str) -> None:
        await submit(batcher, text)
        under_way.append(len(engines.batches))

    first, second = asyncio.create_task(ask("a")), asyncio.create_task(ask("b"))
    await settle()
    await engines.finish(0)
    assert under_way == [2]
    await engines.finish(1)
    await asyncio.gather(first, second)


async def test_a_batch_keeps_the_token_budget_and_a_larger_item_still_runs_alone() -> None:
    engines = Engines()
    batcher = batcher_of(engines, max_batch_tokens=25)
    first = submit(batcher, "first")
    requests = [submit(batcher, name) for name in "abc"] + [submit(batcher, "huge", tokens=70)]
    await settle()
    for batch in range(4):
        await engines.finish(batch)
    assert engines.batches == [["first"], ["a", "b"], ["c"], ["huge"]]
    await asyncio.gather(first, *requests)


async def test_a_request_larger_than_a_batch_is_answered_whole_and_in_order() -> None:
    engines = Engines()
    batcher = batcher_of(engines, max_batch_tokens=20)
    request = submit(batcher, *"abcde")
    await settle()
    for batch in range(3):
        await engines.finish(batch)
    assert [outcome.prediction["echo"] for outcome in await request] == list("abcde")


async def test_idle_engines_share_a_burst() -> None:
    engines = Engines()
    batcher = batcher_of(engines, engines=2)
    request = submit(batcher, *"abcd")
    await settle()
    assert engines.batches == [["a", "b"], ["c", "d"]]
    await engines.finish(1)
    await engines.finish(0)
    assert [outcome.prediction["echo"] for outcome in await request] == list("abcd")


async def test_what_arrives_alone_gets_all_cores_and_what_arrives_meanwhile_waits() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2)
    alone = submit(batcher, "a")
    await settle()
    late = submit(batcher, "b")
    await settle()
    assert engines.batches == [["a"]]
    await engines.finish(0)
    await engines.finish(1)
    assert engines.all_cores == [True, True]
    await asyncio.gather(alone, late)


async def test_lanes_share_a_burst_and_do_not_wait_for_each_other() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2)
    burst = submit(batcher, *"abcd")
    await settle()
    assert engines.batches == [["a", "b"], ["c", "d"]]
    next_one = submit(batcher, *"efg")
    await settle()
    await engines.finish(1)
    assert engines.batches[2:] == [["e", "f", "g"]]
    assert not any(engines.all_cores)
    for batch in (0, 2):
        await engines.finish(batch)
    await asyncio.gather(burst, next_one)


async def test_an_input_that_is_most_of_the_work_gets_all_cores() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2)
    costs = [70, 5, 5]
    request = batcher.submit(texts(*"abc"), costs, timeout_seconds=60)
    await settle()
    assert (engines.batches, engines.all_cores) == ([["a", "b", "c"]], [True])
    await engines.finish(0)
    await request


async def test_a_lane_leaves_some_of_a_long_queue_to_the_others() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2, max_batch_tokens=8000, max_queue_tokens=9000)
    request = submit(batcher, *"abcdefg", tokens=600)
    await settle()
    assert engines.batches == [["a", "b", "c", "d"], ["e", "f"]]
    await engines.finish(0)
    assert engines.batches[2:] == [["g"]]
    for batch in (1, 2):
        await engines.finish(batch)
    await request


async def two_busy_lanes(engines: Engines, seconds: float) -> tuple[Batcher, list[Any]]:
    """Return a batcher whose lanes have computed batches 1 and 2, of two requests each."""
    batcher = batcher_of(engines, lanes=2)
    requests = [submit(batcher, name) for name in "abcde"]
    await settle()
    await engines.finish(0)
    assert engines.batches == [["a"], ["b", "c"], ["d", "e"]]
    await passed(seconds)
    return batcher, requests


async def finish_all(engines: Engines, requests: list[Any]) -> None:
    for gate in engines.gates:
        gate.set()
    await asyncio.gather(*requests)


async def test_a_lane_waits_a_moment_for_the_clients_that_it_answered() -> None:
    engines = Engines()
    batcher, requests = await two_busy_lanes(engines, 1)
    await engines.finish(1)
    requests.append(submit(batcher, "f"))
    await settle()
    assert len(engines.batches) == 3
    requests.append(submit(batcher, "g"))
    await settle()
    assert engines.batches[3:] == [["f", "g"]]
    await finish_all(engines, requests)


async def test_a_lane_that_waits_for_clients_takes_what_came_when_they_stay_away() -> None:
    engines = Engines()
    batcher, requests = await two_busy_lanes(engines, 0.2)
    await engines.finish(1)
    requests.append(submit(batcher, "f"))
    await settle()
    assert len(engines.batches) == 3
    await passed(0.05)
    assert engines.batches[3:] == [["f"]]
    await finish_all(engines, requests)


async def test_an_idle_lane_beside_one_that_waits_takes_what_comes() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=3)
    requests = [submit(batcher, name) for name in "abcd"]
    await settle()
    await engines.finish(0)
    assert engines.batches[1:] == [["b"], ["c"], ["d"]]
    await passed(0.5)
    await engines.finish(1)
    await engines.finish(2)
    requests.append(submit(batcher, "e"))
    await settle()
    assert len(engines.batches) == 4, "both lanes wait for the clients that they answered"
    requests.append(submit(batcher, "f"))
    await settle()
    assert sorted(engines.batches[4:]) == [["e"], ["f"]]
    await finish_all(engines, requests)


async def test_nobody_waits_for_a_client_that_is_not_answered_yet() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2)
    requests = [submit(batcher, *"abcd")]
    await settle()
    await passed(0.5)
    await engines.finish(0)
    requests.append(submit(batcher, "e"))
    await settle()
    assert engines.batches[2:] == [["e"]]
    await finish_all(engines, requests)


async def test_closing_ends_a_lane_s_wait_for_clients() -> None:
    engines = Engines()
    batcher, requests = await two_busy_lanes(engines, 1)
    await engines.finish(1)
    requests.append(submit(batcher, "f"))
    await settle()
    batcher.close()
    drained = asyncio.create_task(batcher.drain())
    await settle()
    assert engines.batches[3:] == [["f"]]
    await finish_all(engines, requests)
    await drained


async def test_cores_that_others_want_are_not_joined() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2, may_use_all_cores=lambda: False)
    request = submit(batcher, "a")
    await settle()
    assert engines.all_cores == [False]
    await finish_all(engines, [request])


async def test_over_the_queue_limit_a_request_is_refused_and_told_when_to_come_back() -> None:
    engines = Engines()
    batcher = batcher_of(engines, max_queue_tokens=30)
    accepted = [submit(batcher, name) for name in "abcd"]
    await settle()
    with pytest.raises(QueueFull) as refusal:
        await submit(batcher, "e")
    assert refusal.value.retry_after_seconds == 1
    await engines.finish(0)
    await engines.finish(1)
    await asyncio.gather(*accepted)
    late = submit(batcher, "e")
    await settle()
    await engines.finish(2)
    assert (await late)[0].prediction == {"echo": "e"}


async def test_a_request_that_could_never_fit_says_so() -> None:
    with pytest.raises(PayloadTooLarge, match="send fewer inputs"):
        await batcher_of(Engines(), max_queue_tokens=30).submit(
            texts(*"abcd"), [10] * 4, timeout_seconds=1
        )


async def test_a_request_that_would_miss_its_deadline_is_refused_at_once() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    measured = submit(batcher, "a")
    await passed(0.02)  # the batch takes this long, so the rate is about 500 tokens a second
    await engines.finish(0)
    await measured
    waiting = [submit(batcher, name) for name in "bcdefgh"]
    await settle()
    with pytest.raises(QueueFull):
        await batcher.submit(texts("x"), [10], timeout_seconds=0.001)
    for request in waiting:
        request.cancel()
    await engines.finish(1)


async def test_a_batch_ends_before_it_is_late_for_its_first_request() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    measured = submit(batcher, "a")
    await passed(0.1)  # so the rate is about 100 tokens a second
    await engines.finish(0)
    await measured
    busy = submit(batcher, "b")
    await settle()
    urgent = submit(batcher, "c", timeout_seconds=1)
    patient = [submit(batcher, name) for name in "defghijkl"]
    await settle()
    await engines.finish(1)
    assert 1 < len(engines.batches[2]) < 10
    assert engines.batches[2][0] == "c"
    await engines.finish(2)
    await engines.finish(3)
    assert [name for batch in engines.batches[2:] for name in batch] == list("cdefghijkl")
    await asyncio.gather(busy, urgent, *patient)


async def test_a_request_past_its_deadline_is_not_computed() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    first = submit(batcher, "a")
    await settle()
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(texts("late"), [10], timeout_seconds=0.01)
    await engines.finish(0)
    await first
    assert engines.batches == [["a"]]
    assert batcher.queued_tokens == 0


async def test_a_batch_is_wanted_as_long_as_somebody_waits_for_it() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    first, impatient, patient = (submit(batcher, name) for name in ("first", "a", "b"))
    await settle()
    await engines.finish(0)
    await first
    assert engines.batches[1] == ["a", "b"]
    impatient.cancel()
    await settle()
    assert engines.is_wanted[1]()
    patient.cancel()
    await settle()
    assert not engines.is_wanted[1]()
    await engines.finish(1)


async def test_what_a_client_no_longer_waits_for_is_dropped_and_its_room_given_back() -> None:
    engines = Engines()
    batcher = batcher_of(engines, max_queue_tokens=20)
    first = submit(batcher, "a")
    gone = submit(batcher, "gone", tokens=20)
    await settle()
    gone.cancel()
    await settle()
    assert batcher.queued_tokens == 0
    next_one = submit(batcher, "b", tokens=20)
    await settle()
    await engines.finish(0)
    await engines.finish(1)
    assert engines.batches == [["a"], ["b"]]
    await asyncio.gather(first, next_one)


async def test_an_error_of_the_engines_reaches_every_caller_of_the_batch_and_no_other() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    engines.error = RuntimeError("no engine")
    failing = submit(batcher, "a")
    await settle()
    next_one = submit(batcher, "b")
    await engines.finish(0)
    engines.error = None
    await engines.finish(1)
    with pytest.raises(RuntimeError, match="no engine"):
        await failing
    assert (await next_one)[0].prediction == {"echo": "b"}


async def test_what_still_waits_at_the_end_is_refused_and_not_computed() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    computed, waiting = submit(batcher, "a"), submit(batcher, "b")
    await settle()
    batcher.close()
    batcher.reject_queued()
    with pytest.raises(Draining):
        await waiting
    await engines.finish(0)
    assert (await computed)[0].prediction == {"echo": "a"}
    assert engines.batches == [["a"]]


async def test_draining_answers_what_was_accepted_and_refuses_the_rest() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    accepted = [submit(batcher, name) for name in "abc"]
    await settle()
    batcher.close()
    with pytest.raises(Draining):
        await batcher.submit(texts("d"), [10], timeout_seconds=1)
    drained = asyncio.create_task(batcher.drain())
    await engines.finish(0)
    assert not drained.done()
    await engines.finish(1)
    await drained
    assert [(await request)[0].prediction["echo"] for request in accepted] == list("abc")


async def test_each_batch_is_reported_with_its_size() -> None:
    engines = Engines()
    reports: list[BatchReport] = []
    batcher = batcher_of(engines, observe=reports.append)
    request = submit(batcher, "a", "b", tokens=7)
    await settle()
    await engines.finish(0)
    await request
    assert [(report.items, report.tokens) for report in reports] == [(2, 14)]


async def test_while_no_engine_answers_requests_that_gave_up_take_no_room() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    stuck = submit(batcher, "stuck")
    await settle()
    for _ in range(50):
        gone = [submit(batcher, f"gone {number}") for number in range(20)]
        await settle()
        for request in gone:
            request.cancel()
        await settle()
    assert batcher.queued_tokens == 0
    assert len(batcher._queue) <= 2 * MAX_DEAD_ENTRIES
    waiting = submit(batcher, "b")
    await settle()
    await engines.finish(0)
    await engines.finish(1)
    assert engines.batches == [["stuck"], ["b"]]
    await asyncio.gather(stuck, waiting)
