"""The contract between submitters and batch workers: rings, and the doorbell that sends them.

A ring is an entry in the queue of a deployment. It announces that there is work, like a doorbell;
which work a worker then does is decided in PostgreSQL. So a ring carries ids and no inputs, and a
lost or repeated ring does no harm.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

CLAIM_CHUNK = "claim_chunk"
"""Name of the arq function that claims and runs one chunk."""
MAX_IN_PROGRESS = 1_000
"""Maximum rings that workers of one deployment handle at the same time. They are the first."""


def ring_id(job_id: UUID, chunk: int, earlier_rings: int) -> str:
    """Return the arq job id of a ring for a chunk that was announced `earlier_rings` times."""
    return f"{job_id}:{chunk}:{earlier_rings}"


class Doorbell(Protocol):
    """The sender of rings to the workers of one deployment.

    All methods but `close` raise QueueUnavailable.
    """

    async def ring(self, rings: list[str]) -> None:
        """Announce chunks by the ids of their rings. Rings that are in the queue stay as they are.

        After a failure the sweeper rings later.
        """

    async def check(self) -> None:
        """Return if the queue accepts writes. One that is full, or is a replica, answers reads."""

    async def depth(self) -> int:
        """Return the number of rings that wait or are being handled."""

    async def waiting(self) -> int:
        """Return the number of rings that no worker has taken yet."""

    async def oldest(self) -> list[str]:
        """Return the ids of the oldest rings, waiting or being handled."""

    async def withdraw(self, rings: list[str]) -> None:
        """Remove rings, even if a worker handles them."""

    async def close(self) -> None:
        """Close the connections."""
