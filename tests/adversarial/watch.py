"""Measures a server from outside while it is attacked."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

PROBE_PERIOD_SECONDS = 0.02
PROBE_TIMEOUT_SECONDS = 30
MAX_WAIT_SECONDS = 0.1
_BUCKET = re.compile(r'^slipway_event_loop_(held|delay)_seconds_bucket\{le="(\S+)"\} (\S+)$', re.M)


@dataclass(frozen=True)
class Measured:
    """The cost of an action to the server.

    `held_seconds` is the longest time for which its own work kept the event loop from what was due,
    by the upper bound of a bucket; `late_seconds` includes the time without a core. `growth_bytes`
    is the peak of its resident memory above that before. `livez_seconds` is the slowest answer.
    """

    seconds: float
    held_seconds: float
    late_seconds: float
    growth_bytes: int
    livez_seconds: float

    def is_within(self, held_seconds: float, livez_seconds: float) -> bool:
        """Return whether the server kept these bounds. The second is not asked for while it waited
        for a core, as it does on a machine with other work.
        """
        waited = self.late_seconds - self.held_seconds > MAX_WAIT_SECONDS
        return self.held_seconds <= held_seconds and (waited or self.livez_seconds <= livez_seconds)


class ServerWatch:
    """Watches the server with this process id, whose probes and metrics are at the URL."""

    def __init__(self, pid: int, url: str) -> None:
        self._pid = pid
        self._url = url

    def is_ready(self) -> bool:
        """Return whether the server is ready."""
        return _get(self._url, "/readyz")[0] == 200

    def measure(self, action: Callable[[], T]) -> tuple[T, Measured]:
        """Return the result of an action and its cost."""
        resident = self._memory("VmRSS")
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")  # forget the peak
        before = self._histograms()
        probe = _Probe(self._url)
        started = time.monotonic()
        with probe:
            result = action()
            seconds = time.monotonic() - started
        after = self._histograms()
        return result, Measured(
            seconds,
            _longest(before["held"], after["held"]),
            _longest(before["delay"], after["delay"]),
            self._memory("VmHWM") - resident,
            probe.slowest_seconds,
        )

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self._pid}/status").read_text()
        match = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        assert match, f"the server has no {name}: it has ended"
        return int(match[1]) * 1024

    def _histograms(self) -> dict[str, dict[float, float]]:
        """Return the cumulative counts of the histograms `held` and `delay` by their bounds."""
        found: dict[str, dict[float, float]] = {"held": {}, "delay": {}}
        for name, bound, count in _BUCKET.findall(_get(self._url, "/metrics")[1].decode()):
            found[name][float(bound)] = float(count)
        assert found["held"], "the server has no metric of its event loop"
        return found


class _Probe:
    """Asks for /livez all the time, on a connection that stays open."""

    def __init__(self, url: str) -> None:
        self.slowest_seconds = 0.0
        self._url = url
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> _Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        connection = _connect(self._url, PROBE_TIMEOUT_SECONDS)
        while not self._end.is_set():
            started = time.monotonic()
            try:
                connection.request("GET", "/livez")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
            self._end.wait(PROBE_PERIOD_SECONDS)
        connection.close()


def _longest(before: dict[float, float], after: dict[float, float]) -> float:
    """Return the bound of the highest bucket with an observation since `before`."""
    total = after[float("inf")] - before[float("inf")]
    for bound in sorted(after):
        if after[bound] - before[bound] >= total:
            return bound
    return 0.0


def _get(url: str, path: str) -> tuple[int, bytes]:
    connection = _connect(url, PROBE_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _connect(url: str, timeout_seconds: float) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout_seconds)
