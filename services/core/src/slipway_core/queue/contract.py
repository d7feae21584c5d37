"""Names and payloads on the queue: what inference writes and batch workers read.

A ring says only that a deployment has work; which work is decided in PostgreSQL. So a payload
carries ids, never inputs, and a lost or doubled ring does no harm.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

CLAIM_CHUNK = "claim_chunk"
"""Name of the ARQ function that claims and runs one chunk of work."""
MOST_IN_PROGRESS = 1_000
"""Rings that are worked on at one time, which are the oldest; no deployment has more workers."""


def ring_id(job_id: UUID, chunk: int, ring: int) -> str:
    """The ARQ job id of one ring: `ring` counts how often the chunk was announced before."""
    return f"{job_id}:{chunk}:{ring}"


class Doorbell(Protocol):
    """Tells the workers of one deployment that there is work."""

    async def ring(self, rings: list[str]) -> None:
        """Announce chunks by their `ring_id`. Raises QueueUnavailable; the sweeper then rings
        later.
        """

    async def depth(self) -> int:
        """How many rings are waiting or being worked on. Raises QueueUnavailable."""

    async def waiting(self) -> int:
        """How many rings no worker has taken yet. Raises QueueUnavailable."""

    async def oldest(self) -> list[str]:
        """The oldest rings, waiting or being worked on. Raises QueueUnavailable."""

    async def withdraw(self, rings: list[str]) -> None:
        """Take rings back, whoever works on them. Raises QueueUnavailable."""

    async def close(self) -> None:
        """Give back the connections."""
