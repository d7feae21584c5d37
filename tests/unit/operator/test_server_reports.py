"""What model servers report: selection of a server, and validation of its response."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from slipway_operator.control.server_reports import ServerReports, fetch_report, newest_start
from slipway_operator.kubernetes.objects import Key, Object
from slipway_operator.observed import NO_REPORT, ServerReport

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
    async with serving('{"version": "1.0", "sandbox": {"active": true}}') as (port, paths):
        reports = ServerReports(learned.put_nowait, port)
        assert reports.get(KEY, [pod()]) == reports.get(KEY, [pod()]) == NO_REPORT
        assert await asyncio.wait_for(learned.get(), 10) == KEY
        assert reports.get(KEY, [pod()]) == reports.get(KEY, [pod()]) == ServerReport("1.0", True)
        assert (paths.get_nowait(), paths.qsize()) == ("/health", 0)
        restarted = pod(started="2026-01-02T00:00:00Z")
        assert reports.get(KEY, [restarted]) == NO_REPORT
        await asyncio.wait_for(learned.get(), 10)
        assert reports.get(KEY, [restarted]).version == "1.0"
        assert paths.qsize() == 1
        reports.drop(KEY)
        assert reports.get(KEY, []) == NO_REPORT
        await reports.close()


@pytest.mark.parametrize(
    "body",
    [
        "not JSON", "[]", "{}", '{"version": 1}', '{"version": ""}', '{"version": "a\\nb"}',
        '{"sandbox": {"active": "true"}}', '{"sandbox": [true]}', '{"sandbox": {"active": 1}}',
        '{"version": "%s"}' % ("9" * 65), '{"version": "1", "more": "%s"}' % ("x" * 100_000),
        "[" * 60_000,
    ],
)  # fmt: skip
async def test_invalid_summaries_report_nothing(body: str) -> None:
    async with serving(body) as (port, _):
        assert await fetch_report("127.0.0.1", port) == NO_REPORT


async def test_servers_of_earlier_releases_report_a_version_alone() -> None:
    async with serving('{"version": "1.0"}') as (port, _):
        assert await fetch_report("127.0.0.1", port) == ServerReport("1.0", None)
    async with serving('{"version": "", "sandbox": {"active": false}}') as (port, _):
        assert await fetch_report("127.0.0.1", port) == ServerReport("", False)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_unreachable_server_is_no_error(address: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert await fetch_report(address, unused.getsockname()[1]) == NO_REPORT


async def test_a_server_without_a_report_is_not_requested_again_at_once() -> None:
    learned: list[Key] = []
    async with serving("{}") as (port, paths):
        reports = ServerReports(learned.append, port)
        reports.get(KEY, [pod()])
        await asyncio.wait_for(paths.get(), 10)
        assert reports.get(KEY, [pod()]) == NO_REPORT
        await reports.close()
        assert (paths.qsize(), learned) == (0, [])
