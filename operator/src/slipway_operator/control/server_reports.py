"""What model servers report of themselves: the version of the model, and whether it is sandboxed.

A server is asked over the network once after each start, in the background. Nothing waits for its
response: what an unreachable pod serves stays unknown.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp

from slipway_operator.desired.names import HTTP_PORT, SERVER_CONTAINER, SUMMARY_PATH
from slipway_operator.kubernetes.objects import Key, Object, get_condition
from slipway_operator.observed import NO_REPORT, ServerReport

log = logging.getLogger(__name__)

MAX_CONCURRENT_REQUESTS = 16
TIMEOUT_SECONDS = 3.0
RETRY_SECONDS = 60.0
"""Time after which a server that reported nothing is asked again."""
MAX_RESPONSE_BYTES = 64 * 1024
MAX_VERSION_LENGTH = 64


class ServerStart(NamedTuple):
    """One start of the server in a pod. What it reports never changes."""

    pod: str
    started_at: str
    address: str


class ServerReports:
    """Reports by ModelDeployment. `on_change` is called with the key of a new one."""

    def __init__(self, on_change: Callable[[Key], None], port: int = HTTP_PORT) -> None:
        self._on_change = on_change
        self._port = port
        self._known: dict[Key, tuple[ServerStart, ServerReport]] = {}
        self._requests: dict[Key, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    def get(self, key: Key, pods: list[Object]) -> ServerReport:
        """Return the report of the newest ready pod, which may be unknown."""
        start = newest_start(pods)
        if start is None:
            return NO_REPORT
        known_start, report = self._known.get(key, (None, NO_REPORT))
        if known_start == start:
            return report
        if key not in self._requests:
            task = asyncio.create_task(self._learn(key, start))
            self._requests[key] = task
            task.add_done_callback(lambda _: self._requests.pop(key, None))
        return NO_REPORT

    def drop(self, key: Key) -> None:
        """Remove a deleted ModelDeployment."""
        self._known.pop(key, None)
        if key in self._requests:
            self._requests[key].cancel()

    async def close(self) -> None:
        """Cancel all requests."""
        tasks = list(self._requests.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _learn(self, key: Key, start: ServerStart) -> None:
        async with self._slots:
            report = await fetch_report(start.address, self._port)
        if report == NO_REPORT:
            # No other request for this key is made until this task ends.
            await asyncio.sleep(RETRY_SECONDS)
            return
        self._known[key] = (start, report)
        self._on_change(key)


def newest_start(pods: list[Object]) -> ServerStart | None:
    """Return the latest start among the ready servers."""
    starts = [start for pod in pods if (start := _start_of(pod))]
    return max(starts, key=lambda start: (start.started_at, start.pod), default=None)


def _start_of(pod: Object) -> ServerStart | None:
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or not status.get("podIP"):
        return None
    if get_condition(pod, "Ready").get("status") != "True":
        return None
    for each in status.get("containerStatuses") or []:
        running = (each.get("state") or {}).get("running")
        if each["name"] == SERVER_CONTAINER and running:
            started_at = str(running.get("startedAt", ""))
            return ServerStart(pod["metadata"]["name"], started_at, str(status["podIP"]))
    return None


async def fetch_report(address: str, port: int) -> ServerReport:
    """Return what the summary of the server at an IP address says, unknown without one."""
    host = f"[{address}]" if ":" in address else address
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{port}{SUMMARY_PATH}", allow_redirects=False) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    return NO_REPORT
        return _read(json.loads(body))
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
        log.info("%s does not report what it serves: %r", host, error)
        return NO_REPORT


def _read(summary: Any) -> ServerReport:
    # The pod is not trusted, and the report ends up in a status.
    if not isinstance(summary, dict):
        return NO_REPORT
    version, sandbox = summary.get("version"), summary.get("sandbox")
    if not isinstance(version, str) or not version.isprintable():
        version = ""
    active = sandbox.get("active") if isinstance(sandbox, dict) else None
    return ServerReport(
        version if len(version) <= MAX_VERSION_LENGTH else "",
        active if isinstance(active, bool) else None,
    )
