"""Batching: which requests are computed together, in which order, and which are rejected."""

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
    """A stand-in for the engines. Each batch is completed when the test opens its gate."""

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
        return asyncio.ensure_future(self._compute(gate, items))

    async def _compute(self, gate: asyncio.Event, items: Sequence[Item]) -> list[Outcome]:
        await gate.wait()
        if self.error:
            raise self.error
        return [Outcome(prediction={"echo": item.value}) for item in items]

    async def finish(self, batch: int) -> None:
        self.gates[batch].set()
        await settle()


async def settle() -> None:
    """Run all tasks that are ready."""
    for _ in range(10):
        await asyncio.sleep(0)


async def compute_for(seconds: float) -> None:
    """Wait `seconds`, during which batches compute."""
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
    async def send_request() -> list[Outcome]:
        costs = [tokens] * len(values)
        return await batcher.submit(texts(*values), costs, timeout_seconds=timeout_seconds)

    return asyncio.create_task(send_request())


async def test_an_idle_engine_computes_a_request_at_once() -> None:
    engines = Engines()
    request = submit(batcher_of(engines), "a")
    await settle()
    assert engines.batches == [["a"]]
    await engines.finish(0)
    assert [outcome.prediction for outcome in await request] == [{"echo": "a"}]


async def test_requests_that_wait_for_a_busy_engine_form_one_batch_in_order() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    requests = [submit(batcher, name) for name in "abcd"]
    await settle()
    await engines.finish(0)
    assert engines.batches == [["a"], ["b", "c", "d"]]
    await engines.finish(1)
    assert [(await request)[0].prediction["echo"] for request in requests] == list("abcd")


async def test_the_next_batch_starts_before_callers_process_their_results() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    batches_started: list[int] = []

    async def send_request(text: str) -> None:
        await submit(batcher, text)
        batches_started.append(len(engines.batches))

    first, second = asyncio.create_task(send_request("a")), asyncio.create_task(send_request("b"))
    await settle()
    await engines.finish(0)
    assert batches_started == [2]
    await engines.finish(1)
    await asyncio.gather(first, second)


async def test_a_batch_respects_the_token_budget_and_a_larger_item_runs_alone() -> None:
    engines = Engines()
    batcher = batcher_of(engines, max_batch_tokens=25)
    first = submit(batcher, "first")
    requests = [submit(batcher, name) for name in "abc"] + [submit(batcher, "huge", tokens=70)]
    await settle()
    for batch in range(4):
        await engines.finish(batch)
    assert engines.batches == [["first"], ["a", "b"], ["c"], ["huge"]]
    await asyncio.gather(first, *requests)


async def test_a_request_larger_than_a_batch_gets_all_results_in_order() -> None:
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


async def test_a_single_request_gets_all_cores_and_later_requests_wait() -> None:
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
    next_request = submit(batcher, *"efg")
    await settle()
    await engines.finish(1)
    assert engines.batches[2:] == [["e", "f", "g"]]
    assert not any(engines.all_cores)
    for batch in (0, 2):
        await engines.finish(batch)
    await asyncio.gather(burst, next_request)


async def test_an_input_with_more_than_half_of_the_tokens_gets_all_cores() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2)
    costs = [70, 5, 5]
    request = batcher.submit(texts(*"abc"), costs, timeout_seconds=60)
    await settle()
    assert (engines.batches, engines.all_cores) == ([["a", "b", "c"]], [True])
    await engines.finish(0)
    await request


async def test_a_lane_leaves_part_of_a_long_queue_to_other_lanes() -> None:
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
    await compute_for(seconds)
    return batcher, requests


async def finish_all(engines: Engines, requests: list[Any]) -> None:
    for gate in engines.gates:
        gate.set()
    await asyncio.gather(*requests)


async def test_a_lane_waits_briefly_for_new_requests_of_the_clients_it_served() -> None:
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


async def test_a_lane_stops_waiting_for_clients_that_do_not_return() -> None:
    engines = Engines()
    batcher, requests = await two_busy_lanes(engines, 0.2)
    await engines.finish(1)
    requests.append(submit(batcher, "f"))
    await settle()
    assert len(engines.batches) == 3
    await compute_for(0.05)
    assert engines.batches[3:] == [["f"]]
    await finish_all(engines, requests)


async def test_an_idle_lane_computes_requests_while_another_waits_for_clients() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=3)
    requests = [submit(batcher, name) for name in "abcd"]
    await settle()
    await engines.finish(0)
    assert engines.batches[1:] == [["b"], ["c"], ["d"]]
    await compute_for(0.5)
    await engines.finish(1)
    await engines.finish(2)
    requests.append(submit(batcher, "e"))
    await settle()
    assert len(engines.batches) == 4, "both lanes wait for the clients that they served"
    requests.append(submit(batcher, "f"))
    await settle()
    assert sorted(engines.batches[4:]) == [["e"], ["f"]]
    await finish_all(engines, requests)


async def test_lanes_do_not_wait_for_clients_whose_requests_are_unfinished() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2)
    requests = [submit(batcher, *"abcd")]
    await settle()
    await compute_for(0.5)
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
    await settle()
    assert engines.batches[3:] == [["f"]]
    await finish_all(engines, requests)


async def test_batches_do_not_use_all_cores_while_other_processes_need_them() -> None:
    engines = Engines()
    batcher = batcher_of(engines, lanes=2, may_use_all_cores=lambda: False)
    request = submit(batcher, "a")
    await settle()
    assert engines.all_cores == [False]
    await finish_all(engines, [request])


async def test_a_request_beyond_the_queue_limit_is_rejected_with_a_time_to_retry() -> None:
    engines = Engines()
    batcher = batcher_of(engines, max_queue_tokens=30)
    accepted = [submit(batcher, name) for name in "abcd"]
    await settle()
    with pytest.raises(QueueFull) as caught:
        await submit(batcher, "e")
    assert caught.value.retry_after_seconds == 1
    await engines.finish(0)
    await engines.finish(1)
    await asyncio.gather(*accepted)
    late = submit(batcher, "e")
    await settle()
    await engines.finish(2)
    assert (await late)[0].prediction == {"echo": "e"}


async def test_a_request_larger_than_the_queue_limit_is_rejected_for_good() -> None:
    with pytest.raises(PayloadTooLarge, match="send fewer inputs"):
        await batcher_of(Engines(), max_queue_tokens=30).submit(
            texts(*"abcd"), [10] * 4, timeout_seconds=1
        )


async def test_a_request_that_would_miss_its_deadline_is_rejected_at_once() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    measured = submit(batcher, "a")
    await compute_for(0.02)  # the batch takes this long, so the rate is about 500 tokens per second
    await engines.finish(0)
    await measured
    waiting = [submit(batcher, name) for name in "bcdefgh"]
    await settle()
    with pytest.raises(QueueFull):
        await batcher.submit(texts("x"), [10], timeout_seconds=0.001)
    for request in waiting:
        request.cancel()
    await engines.finish(1)


async def test_a_batch_is_limited_so_that_its_first_request_meets_the_deadline() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    measured = submit(batcher, "a")
    await compute_for(0.1)  # so the rate is about 100 tokens per second
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


async def test_a_batch_is_wanted_as_long_as_a_caller_waits_for_it() -> None:
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


async def test_cancelled_requests_leave_the_queue_and_free_their_tokens() -> None:
    engines = Engines()
    batcher = batcher_of(engines, max_queue_tokens=20)
    first = submit(batcher, "a")
    gone = submit(batcher, "gone", tokens=20)
    await settle()
    gone.cancel()
    await settle()
    assert batcher.queued_tokens == 0
    next_request = submit(batcher, "b", tokens=20)
    await settle()
    await engines.finish(0)
    await engines.finish(1)
    assert engines.batches == [["a"], ["b"]]
    await asyncio.gather(first, next_request)


async def test_an_error_of_the_engines_reaches_all_callers_of_the_batch_only() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    engines.error = RuntimeError("no engine")
    failing = submit(batcher, "a")
    await settle()
    next_request = submit(batcher, "b")
    await engines.finish(0)
    engines.error = None
    await engines.finish(1)
    with pytest.raises(RuntimeError, match="no engine"):
        await failing
    assert (await next_request)[0].prediction == {"echo": "b"}


async def test_closing_rejects_waiting_requests_without_computing_them() -> None:
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


async def test_a_closed_batcher_completes_accepted_requests_and_rejects_new_ones() -> None:
    engines = Engines()
    batcher = batcher_of(engines)
    accepted = [submit(batcher, name) for name in "abc"]
    await settle()
    batcher.close()
    with pytest.raises(Draining):
        await batcher.submit(texts("d"), [10], timeout_seconds=1)
    await engines.finish(0)
    await engines.finish(1)
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


async def test_cancelled_requests_do_not_accumulate_while_engines_are_stuck() -> None:
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
