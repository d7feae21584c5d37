"""A sweep runs all its steps, even if some fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from slipway_core.errors import StoreUnavailable
from slipway_core.maintenance import sweeper
from slipway_core.settings import ServiceSettings

STEPS = ("_repair_rings", "_expire_jobs", "_check_partitions")


@pytest.mark.parametrize("failing", STEPS)
async def test_the_other_steps_run_when_a_step_fails(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    for failure in (ZeroDivisionError, StoreUnavailable("too slow")):
        completed: list[str] = []
        for step in STEPS:
            stand_in = _make_step(step, completed, failure if step == failing else None)
            monkeypatch.setattr(sweeper.Sweeper, step, stand_in)
        sweep_call = _sweeper().sweep()
        if failure is ZeroDivisionError:
            await sweep_call
        else:
            with pytest.raises(StoreUnavailable, match="too slow"):
                await sweep_call
        assert completed == [step for step in STEPS if step != failing]


async def test_failed_maintenance_of_partitions_is_retried_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    completed: list[str] = []
    for step in STEPS[:-1]:
        monkeypatch.setattr(sweeper.Sweeper, step, _make_step(step, [], None))
    monkeypatch.setattr(sweeper, "PARTITIONS_RETRY_SECONDS", 0)
    repeated = _sweeper()
    for failure in (StoreUnavailable("in use"), None, None):
        monkeypatch.setattr(
            sweeper, "maintain_partitions", _make_step("partitions", completed, failure)
        )
        await repeated.sweep()
    assert completed == ["partitions"]


def _make_step(step: str, completed: list[str], failure: Any) -> Callable[..., Awaitable[None]]:
    async def do(*_: object) -> None:
        if failure is not None:
            raise failure
        completed.append(step)

    do.__name__ = step
    return do


def _sweeper() -> sweeper.Sweeper:
    nothing = cast(Any, None)
    return sweeper.Sweeper(nothing, None, ServiceSettings())
