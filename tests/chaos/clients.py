"""Clients of a deployment that fails: they repeat requests until they are answered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx2

MAX_ITEMS = 600
RACERS = 5
RETRY_SECONDS = 0.3
REQUEST_SECONDS = 20
FINAL = frozenset({"succeeded", "partial", "failed", "cancelled", "expired"})


@dataclass
class Clients:
    """Submits jobs of all kinds through whichever server answers, and keeps what was promised."""

    urls: Callable[[], list[str]]
    chance: random.Random
    jobs: dict[str, list[str]] = field(default_factory=dict)
    """Texts of the accepted jobs by task id."""
    ended: dict[str, str] = field(default_factory=dict)
    """Final states that were reported, by task id."""
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _keys: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Submit jobs of all kinds, one after the other, until `stop` is set."""
        kinds = cycle(
            (self._race, self._submit_and_cancel, self._submit_plain, self._submit_expiring)
        )
        async with httpx2.AsyncClient(timeout=REQUEST_SECONDS) as client:
            while not stop.is_set():
                await next(kinds)(client)

    async def _submit_plain(self, client: httpx2.AsyncClient) -> None:
        await self._submit(client, "plain")

    async def _submit_expiring(self, client: httpx2.AsyncClient) -> None:
        seconds = self.chance.uniform(0.2, 3)
        await self._submit(client, "expiring", deadline_seconds=seconds)

    async def _submit_and_cancel(self, client: httpx2.AsyncClient) -> None:
        task_id = await self._submit(client, "cancelled")
        await asyncio.sleep(self.chance.uniform(0, 1))
        job = await self._repeat(client, "DELETE", f"/predict/status/{task_id}", 200)
        if job["status"] not in FINAL:
            self.violations.append(f"{task_id} is {job['status']} after it was cancelled")
        self.ended[task_id] = job["status"]

    async def _race(self, client: httpx2.AsyncClient) -> None:
        """Submit the same job several times at once."""
        key, texts = self._new_key(), self._texts()
        racers = [self._post(client, key, {"inputs": texts}) for _ in range(RACERS)]
        ids = set(await asyncio.gather(*racers))
        if len(ids) != 1:
            self.violations.append(f"the key {key} has the jobs {ids}")
        self._accepted("races", ids.pop(), texts)

    async def _submit(self, client: httpx2.AsyncClient, kind: str, **options: object) -> str:
        texts = self._texts()
        task_id = await self._post(client, self._new_key(), {"inputs": texts, **options})
        self._accepted(kind, task_id, texts)
        return task_id

    def _accepted(self, kind: str, task_id: str, texts: list[str]) -> None:
        self.jobs[task_id] = texts
        self.counts[kind] += 1

    async def _post(self, client: httpx2.AsyncClient, key: str, body: dict[str, Any]) -> str:
        headers = {"Idempotency-Key": key}
        path = "/predict/text/batch"
        job = await self._repeat(client, "POST", path, 202, json=body, headers=headers)
        task_id: str = job["task_id"]
        return task_id

    async def _repeat(
        self, client: httpx2.AsyncClient, method: str, path: str, status: int, **request: Any
    ) -> dict[str, Any]:
        """Send a request to one server after the other until one answers with `status`."""
        while True:
            url = self.chance.choice(self.urls()) + path
            try:
                response = await client.request(method, url, **request)
            except httpx2.TransportError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if response.status_code == status:
                body: dict[str, Any] = response.json()
                return body
            problem = response.json()
            # The one 409 that may come is that of two requests at the same time.
            if not problem["retryable"] and problem["code"] != "IdempotencyConflict":
                self.violations.append(f"{method} {path}: {problem}")
            await asyncio.sleep(RETRY_SECONDS)

    def _new_key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"

    def _texts(self) -> list[str]:
        """Return inputs, some of which the model rejects."""
        count = self.chance.randint(1, MAX_ITEMS)
        return [
            "raise" if self.chance.random() < 0.002 else "x" * self.chance.randint(1, 60)
            for _ in range(count)
        ]
