"""Receives a batch job: one pass over its inputs, one transaction, memory that does not grow.

Inputs go into PostgreSQL as they arrive, by COPY, while chunks are cut and the request's digest is
computed. A stream that fails, or is too long, leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import msgspec

from slipway_core.errors import InvalidInput, PayloadTooLarge
from slipway_core.store.postgres.binary_copy import (
    RowWriter,
    copy_rows,
    int_field,
    json_field,
    row,
    text_field,
    uuid_field,
)
from slipway_core.store.postgres.database import Connection
from slipway_core.store.postgres.jsonb import has_nul
from slipway_core.store.records import NewItem, NewJob


@dataclass(frozen=True, slots=True)
class SubmissionLimits:
    """How a job is cut, and the most inputs that it may have."""

    chunk_tokens: int
    chunk_items: int
    max_items: int


CHUNK_BYTES = 32 * 1024 * 1024
"""Most characters of JSON in a chunk of several inputs: a worker holds all of it in memory."""


class ChunkCutter:
    """Cuts consecutive inputs into chunks by their number, their cost in tokens and their size."""

    def __init__(self, limits: SubmissionLimits) -> None:
        self._limits = limits
        self.counts: list[int] = []
        """Number of inputs of each chunk so far."""
        self._tokens = 0
        self._size = 0

    def add(self, tokens: int, size: int) -> None:
        """Put the next input into the current chunk, or into a new one when that is full."""
        full = (
            not self.counts
            or self.counts[-1] >= self._limits.chunk_items
            or self._tokens + tokens > self._limits.chunk_tokens
            or self._size + size > CHUNK_BYTES
        )
        if full:
            self.counts.append(0)
            self._tokens = self._size = 0
        self.counts[-1] += 1
        self._tokens += tokens
        self._size += size


class RequestDigest:
    """sha256 over all that makes two submissions the same: the options and every input."""

    def __init__(self, job: NewJob) -> None:
        options = [
            job.queue, job.modality, job.labels, job.parameters,
            job.webhook_url,
        ]  # fmt: skip
        self._hash = hashlib.sha256(msgspec.json.encode(options, order="deterministic"))

    def add(self, item: NewItem) -> None:
        encoded = item.input_json.encode()
        self._hash.update(len(encoded).to_bytes(8))
        self._hash.update(encoded)

    def value(self) -> bytes:
        return self._hash.digest()


async def digest_of(job: NewJob, items: AsyncIterator[NewItem], limits: SubmissionLimits) -> bytes:
    """The digest of a submission of which nothing is stored."""
    digest = RequestDigest(job)
    index = 0
    async for item in items:
        _check(item, index, limits)
        digest.add(item)
        index += 1
    return digest.value()


@dataclass(frozen=True, slots=True)
class Received:
    """What was received: the digest of the request and the number of inputs of each chunk."""

    digest: bytes
    counts: list[int]


async def receive_items(
    connection: Connection, job: NewJob, items: AsyncIterator[NewItem], limits: SubmissionLimits
) -> Received:
    """Store the inputs of `job` in the connection's transaction.

    Raises InvalidInput for a job without inputs or an input that cannot be stored, and
    PayloadTooLarge for too many.
    """
    digest = RequestDigest(job)
    cutter = ChunkCutter(limits)
    job_id = uuid_field(job.id)
    index = 0
    async with (
        connection.cursor() as cursor,
        RowWriter(cursor, "batch_items", ("job_id", "idx", "input", "tokens")) as writer,
    ):
        async for item in items:
            _check(item, index, limits)
            digest.add(item)
            cutter.add(item.tokens, len(item.input_json))
            encoded = json_field(item.input_json.encode())
            await writer.write(row(job_id, int_field(index), encoded, int_field(item.tokens)))
            index += 1
        if not index:
            raise InvalidInput.at("inputs", "is empty: a job needs at least one input")
    return Received(digest.value(), cutter.counts)


async def store_chunks(connection: Connection, job_id: UUID, queue: str, counts: list[int]) -> None:
    """Store the chunks of a job, in the transaction that stores the job."""
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
