"""The error of a driver for a cancelled statement is not logged as a failure."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from slipway_core.maintenance import sweeper
from slipway_core.settings import ServiceSettings


async def test_a_cancelled_sweep_logs_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    began = asyncio.Event()

    async def measure(*_: Any) -> None:
        if began.is_set():
            raise asyncio.CancelledError
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("the statement was cancelled") from None

    monkeypatch.setattr(sweeper, "measure", measure)
    nothing = cast(Any, None)
    sweeping = asyncio.create_task(
        sweeper.keep_sweeping(nothing, nothing, ServiceSettings(), pause_seconds=0)
    )
    await began.wait()
    sweeping.cancel()
    await asyncio.wait([sweeping], timeout=5)
    assert sweeping.done()
    assert "sweeping failed" not in capfd.readouterr().err
