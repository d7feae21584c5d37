"""Reception of a batch job: one pass over its inputs, in constant memory.

As inputs arrive they are encoded for PostgreSQL, while chunks are formed and the digest of the
request is computed. When all have arrived, one transaction stores them. A stream that fails, or
exceeds a limit, leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import msgspec

from slipway_core.errors import InvalidInput, PayloadTooLarge
from slipway_core.store.postgres.binary_copy import (
    copy_blocks,
    copy_rows,
    int_field,
    json_field,
    row,
    text_field,
    uuid_field,
)
from slipway_core.store.postgres.connection import Connection
from slipway_core.store.postgres.jsonb import has_nul
from slipway_core.store.records import NewItem, NewJob
from slipway_core.store.spool import Spool


@dataclass(frozen=True, slots=True)
class SubmissionLimits:
    """Limits of a chunk, and of the inputs of a job."""

    chunk_tokens: int
    chunk_items: int
    max_items: int


MAX_CHUNK_CHARACTERS = 32 * 1024 * 1024
"""Maximum JSON text of a chunk with several inputs, which a worker holds in memory."""


class ChunkSizes:
    """Divides consecutive inputs into chunks within the limits of number, tokens and size."""

    def __init__(self, limits: SubmissionLimits) -> None:
        self._limits = limits
        self.counts: list[int] = []
        """Inputs of each chunk so far."""
        self._tokens = 0
        self._size = 0

    def add(self, tokens: int, size: int) -> None:
        """Put the next input into the current chunk, or into a new one if it does not fit."""
        full = (
            not self.counts
            or self.counts[-1] >= self._limits.chunk_items
            or self._tokens + tokens > self._limits.chunk_tokens
            or self._size + size > MAX_CHUNK_CHARACTERS
        )
        if full:
            self.counts.append(0)
            self._tokens = self._size = 0
        self.counts[-1] += 1
        self._tokens += tokens
        self._size += size


class RequestDigest:
    """The sha256 of a submission, by which a repetition is recognised: options and inputs."""

    def __init__(self, job: NewJob) -> None:
        options = [
            job.queue, job.modality, job.labels, job.parameters,
            job.webhook_url,
        ]  # fmt: skip
        self._hash = hashlib.sha256(msgspec.json.encode(options, order="deterministic"))

    def add(self, item: NewItem) -> None:
        """Add the next input."""
        encoded = item.input_json.encode()
        self._hash.update(len(encoded).to_bytes(8))
        self._hash.update(encoded)

    def value(self) -> bytes:
        """Return the digest of everything added so far."""
        return self._hash.digest()


async def compute_digest(
    job: NewJob, items: AsyncIterator[NewItem], limits: SubmissionLimits
) -> bytes:
    """Return the digest of a submission without storing it."""
    digest = RequestDigest(job)
    index = 0
    async for item in items:
        _check(item, index, limits)
        digest.add(item)
        index += 1
    return digest.value()


@dataclass(frozen=True, slots=True)
class ReceivedItems:
    """The digest of a submission, the number of inputs of each chunk, and the size of all inputs
    in bytes.
    """

    digest: bytes
    counts: list[int]
    size: int

    @property
    def total(self) -> int:
        """The number of inputs."""
        return sum(self.counts)


async def receive_items(
    spool: Spool,
    job_id: UUID,
    job: NewJob,
    items: AsyncIterator[NewItem],
    limits: SubmissionLimits,
) -> ReceivedItems:
    """Write the inputs of `job`, with the id `job_id`, to the spool as rows for `store_items`.

    Raises InvalidInput when there are no inputs or one cannot be stored, PayloadTooLarge when there
    are too many, and what `Spool.write` raises.
    """
    digest = RequestDigest(job)
    sizes = ChunkSizes(limits)
    encoded_id = uuid_field(job_id)
    index = size = 0
    async for item in items:
        _check(item, index, limits)
        digest.add(item)
        sizes.add(item.tokens, len(item.input_json))
        encoded = json_field(item.input_json.encode())
        await spool.write(row(encoded_id, int_field(index), encoded, int_field(item.tokens)))
        index += 1
        size += len(encoded)
    if not index:
        raise InvalidInput.at("inputs", "is empty: a job needs at least one input")
    return ReceivedItems(digest.value(), sizes.counts, size)


async def store_items(connection: Connection, spool: Spool) -> None:
    """Store received inputs in the current transaction."""
    async with connection.cursor() as cursor:
        columns = ("job_id", "idx", "input", "tokens")
        await copy_blocks(cursor, "batch_items", columns, spool.blocks())


async def store_chunks(connection: Connection, job_id: UUID, queue: str, counts: list[int]) -> None:
    """Store the chunks of a job in the current transaction."""
    rows = []
    first_index = 0
    for chunk, count in enumerate(counts):
        rows.append(
            row(
                uuid_field(job_id),
                int_field(chunk),
                text_field(queue),
                int_field(first_index),
                int_field(count),
            )
        )
        first_index += count
    async with connection.cursor() as cursor:
        columns = ("job_id", "chunk", "queue", "first_index", "count")
        await copy_rows(cursor, "batch_chunks", columns, rows)


def _check(item: NewItem, index: int, limits: SubmissionLimits) -> None:
    if index >= limits.max_items:
        raise PayloadTooLarge(
            f"a job takes at most {limits.max_items} inputs: split it into several jobs"
        )
    if has_nul(item.input_json):
        raise InvalidInput.at(f"inputs.{index}", "contains the character NUL: remove it")
