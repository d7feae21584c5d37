"""Which version a server says that it serves, for ModelDeployments whose spec does not say it.

A pod is asked over the network, once for each start of its server, behind the reconciliations'
backs. Nothing waits for the answer: where a pod cannot be reached its version stays unknown.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp

from slipway_operator.cache.owned_objects import Key
from slipway_operator.desired.names import HTTP_PORT, SERVER_CONTAINER, SUMMARY_PATH
from slipway_operator.observed.finding import Object, condition

log = logging.getLogger(__name__)

MAX_CONCURRENT_REQUESTS = 16
TIMEOUT_SECONDS = 3.0
RETRY_SECONDS = 60.0
"""How long a server that gave no answer is left alone."""
MAX_RESPONSE_BYTES = 64 * 1024
MAX_VERSION_LENGTH = 64


class Start(NamedTuple):
    """One start of one pod's server; what it serves never changes."""

    pod: str
    started_at: str
    address: str


class ServedVersions:
    """Versions by ModelDeployment; `learned` is called when there is a new one."""

    def __init__(self, learned: Callable[[Key], None], port: int = HTTP_PORT) -> None:
        self._learned = learned
        self._port = port
        self._known: dict[Key, tuple[Start, str]] = {}
        self._asking: dict[Key, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    def of(self, key: Key, pods: list[Object]) -> str:
        """The version that the newest ready pod serves; empty while it is not known."""
        start = newest_start(pods)
        if start is None:
            return ""
        known_start, version = self._known.get(key, (None, ""))
        if known_start == start:
            return version
        if key not in self._asking:
            task = asyncio.create_task(self._learn(key, start))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return ""

    def drop(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        self._known.pop(key, None)
        if key in self._asking:
            self._asking[key].cancel()

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _learn(self, key: Key, start: Start) -> None:
        async with self._room:
            version = await ask(start.address, self._port)
        if not version:
            await asyncio.sleep(RETRY_SECONDS)
            return
        self._known[key] = (start, version)
        self._learned(key)


def newest_start(pods: list[Object]) -> Start | None:
    """The server that started last of those that are ready."""
    starts = [start for pod in pods if (start := _start_of(pod))]
    return max(starts, key=lambda start: (start.started_at, start.pod), default=None)


def _start_of(pod: Object) -> Start | None:
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or not status.get("podIP"):
        return None
    if condition(pod, "Ready").get("status") != "True":
        return None
    for each in status.get("containerStatuses") or []:
        running = (each.get("state") or {}).get("running")
        if each["name"] == SERVER_CONTAINER and running:
            started_at = str(running.get("startedAt", ""))
            return Start(pod["metadata"]["name"], started_at, str(status["podIP"]))
    return None


async def ask(address: str, port: int) -> str:
    """The version in the summary of the server at an IP address; empty when it gives none."""
    host = f"[{address}]" if ":" in address else address
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:{port}{SUMMARY_PATH}", allow_redirects=False) as answer,
        ):
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    return ""
        return _version_in(json.loads(body))
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
        log.info("%s does not say which version it serves: %r", host, error)
        return ""


def _version_in(summary: Any) -> str:
    """A stranger wrote it and it ends in a status: it is taken only if it can be a version."""
    version = summary.get("version") if isinstance(summary, dict) else None
    if not isinstance(version, str) or not version.isprintable():
        return ""
    return version if len(version) <= MAX_VERSION_LENGTH else ""
