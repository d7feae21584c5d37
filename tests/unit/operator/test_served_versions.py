"""Versions that model servers report: selection of a server, and validation of its response."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from slipway_operator.control.served_versions import ServedVersions, fetch_version, newest_start
from slipway_operator.kubernetes.objects import Key, Object

KEY = Key("models", "minilm")


def pod(
    name: str = "minilm-1",
    started: str = "2026-01-01T00:00:00Z",
    ready: str = "True",
    ip: str = "127.0.0.1",
    **meta: Any,
) -> Object:
    running = {"running": {"startedAt": started}}
    return {
        "metadata": {"name": name, **meta},
        "status": {
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "sidecar"}, {"name": "server", "state": running}],
        },
    }


@asynccontextmanager
async def serving(body: str) -> AsyncIterator[tuple[int, asyncio.Queue[str]]]:
    """A server on 127.0.0.1 with one response for all requests. Yields its port and the paths."""
    paths: asyncio.Queue[str] = asyncio.Queue()

    async def respond(request: web.Request) -> web.Response:
        paths.put_nowait(request.path)
        return web.Response(text=body)

    application = web.Application()
    application.router.add_get("/{anything:.*}", respond)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1], paths
    finally:
        await runner.cleanup()


def test_the_newest_ready_server_is_selected() -> None:
    old, new = pod("a"), pod("b", started="2026-01-02T00:00:00Z")
    late = "2026-01-03T00:00:00Z"
    leaving = pod("c", started=late, deletionTimestamp=late)
    start = newest_start([new, old, leaving, pod("d", late, ready="False"), pod("e", late, ip="")])
    assert start is not None
    assert start.pod == "b"
    assert newest_start([leaving, {"metadata": {"name": "pending"}}]) is None


async def test_a_server_is_requested_once_per_start() -> None:
    learned: asyncio.Queue[Key] = asyncio.Queue()
    async with serving('{"version": "1.0"}') as (port, paths):
        versions = ServedVersions(learned.put_nowait, port)
        assert versions.get(KEY, [pod()]) == versions.get(KEY, [pod()]) == ""
        assert await asyncio.wait_for(learned.get(), 10) == KEY
        assert versions.get(KEY, [pod()]) == versions.get(KEY, [pod()]) == "1.0"
        assert (paths.get_nowait(), paths.qsize()) == ("/health", 0)
        restarted = pod(started="2026-01-02T00:00:00Z")
        assert versions.get(KEY, [restarted]) == ""
        await asyncio.wait_for(learned.get(), 10)
        assert versions.get(KEY, [restarted]) == "1.0"
        assert paths.qsize() == 1
        versions.drop(KEY)
        assert versions.get(KEY, []) == ""
        await versions.close()


@pytest.mark.parametrize(
    "body",
    [
        "not JSON", "[]", "{}", '{"version": 1}', '{"version": ""}', '{"version": "a\\nb"}',
        '{"version": "%s"}' % ("9" * 65), '{"version": "1", "more": "%s"}' % ("x" * 100_000),
        "[" * 60_000,
    ],
)  # fmt: skip
async def test_invalid_summaries_have_no_version(body: str) -> None:
    async with serving(body) as (port, _):
        assert await fetch_version("127.0.0.1", port) == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_unreachable_server_is_no_error(address: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert await fetch_version(address, unused.getsockname()[1]) == ""


async def test_a_server_without_a_version_is_not_requested_again_at_once() -> None:
    learned: list[Key] = []
    async with serving("{}") as (port, paths):
        versions = ServedVersions(learned.append, port)
        versions.get(KEY, [pod()])
        await asyncio.wait_for(paths.get(), 10)
        assert versions.get(KEY, [pod()]) == ""
        await versions.close()
        assert (paths.qsize(), learned) == (0, [])
