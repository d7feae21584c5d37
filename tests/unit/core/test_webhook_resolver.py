"""Names whose servers never answer delay no other names."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from slipway_core.maintenance.webhooks.resolver import look_up


async def test_names_that_never_resolve_delay_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        if host == "silent.invalid":
            released.wait(10)
            raise OSError
        return [(0, 0, 0, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    silent = [asyncio.create_task(look_up("silent.invalid", 1)) for _ in range(100)]
    async with asyncio.timeout(5):
        assert (await look_up("example.com", 443))[0][4] == ("192.0.2.1", 443)
    released.set()
    assert all(
        isinstance(each, OSError) for each in await asyncio.gather(*silent, return_exceptions=True)
    )
