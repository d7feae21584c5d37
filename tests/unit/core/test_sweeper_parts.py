"""A sweep runs all its steps, even if some fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from slipway_core.errors import StoreUnavailable
from slipway_core.maintenance import sweeper
from slipway_core.settings import ServiceSettings

PARTS = ("_repair_rings", "_expire_jobs", "_deliver", "_check_partitions")


@pytest.mark.parametrize("failing", PARTS)
async def test_a_part_that_fails_keeps_no_other_from_its_turn(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    for failure in (ZeroDivisionError, StoreUnavailable("too slow")):
        done: list[str] = []
        for part in PARTS:
            doing = _doing(part, done, failure if part == failing else None)
            monkeypatch.setattr(sweeper.Sweeper, part, doing)
        sweeping = _sweeper().sweep()
        if failure is ZeroDivisionError:
            await sweeping
        else:
            with pytest.raises(StoreUnavailable, match="too slow"):
                await sweeping
        assert done == [part for part in PARTS if part != failing]


async def test_partitions_that_were_not_maintained_are_looked_at_again_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    for part in PARTS[:-1]:
        monkeypatch.setattr(sweeper.Sweeper, part, _doing(part, [], None))
    monkeypatch.setattr(sweeper, "PARTITIONS_RETRY_SECONDS", 0)
    looking = _sweeper()
    for failure in (StoreUnavailable("in use"), None, None):
        monkeypatch.setattr(sweeper, "maintain_partitions", _doing("partitions", done, failure))
        await looking.sweep()
    assert done == ["partitions"]


def _doing(part: str, done: list[str], failure: Any) -> Callable[..., Awaitable[None]]:
    async def do(*_: object) -> None:
        if failure is not None:
            raise failure
        done.append(part)

    do.__name__ = part
    return do


def _sweeper() -> sweeper.Sweeper:
    nothing = cast(Any, None)
    return sweeper.Sweeper(nothing, None, ServiceSettings())
