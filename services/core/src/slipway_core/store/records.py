"""Parameters and results of the repositories: plain values, never rows, cursors or tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from slipway_core.store.states import FINAL_JOB_STATES, JobState


class PredictionRecord(msgspec.Struct, frozen=True):
    """A row of the prediction log: one realtime prediction, successful or failed."""

    id: UUID
    created_at: datetime
    request_id: str
    model: str
    version: str
    model_digest: str
    modality: str
    status: str
    """`ok`, or the code of the error."""
    input: Any
    """The input as JSON, or None when inputs are not logged."""
    prediction: dict[str, Any] | None
    embedding: bytes
    """Vector, [width] of little-endian float32; empty when there is none or it is not logged."""
    latency_ms: float
    tokens: int


@dataclass(frozen=True, slots=True)
class PredictionFilter:
    """Conditions on rows of the prediction log; None stands for any value."""

    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    version: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A batch job to store.

    id: usually None, and then made by the clock of the database, which all ids are compared by.
    deadline_after: time from now, by that clock, after which the job expires.
    """

    queue: str
    model: str
    version: str
    model_digest: str
    modality: str
    labels: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    deadline_after: timedelta | None = None
    webhook_url: str | None = None
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """An input of a job to store: its JSON text and its estimated cost in tokens."""

    input_json: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Job:
    """A stored batch job."""

    id: UUID
    state: JobState
    model: str
    version: str
    modality: str
    total: int
    succeeded: int
    failed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    reason: str | None
    """Why the job did not succeed; None as long as it may."""

    @property
    def finished(self) -> bool:
        """Whether the job is in a final state."""
        return self.state in FINAL_JOB_STATES


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The only result of an item: a prediction or an error."""

    index: int
    prediction: dict[str, Any] | None
    embedding: bytes
    """Vector, [width] of little-endian float32; empty when there is none."""
    error_code: str | None
    error_message: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that a worker has leased."""

    job_id: UUID
    chunk: int
    first_index: int
    attempt: int
    lost: int
    """Earlier attempts whose lease was lost."""
    lease_token: UUID
    modality: str
    labels: tuple[str, ...]
    parameters: dict[str, Any]
    inputs: list[Any]
    """Inputs as JSON values, in order from `first_index`."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Work of a queue: numbers of chunks, and the age of the oldest waiting one in seconds."""

    waiting: int
    running: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook call to make; `attempt` is 1 for the first. `retries` says how often the job's
    failed items were computed again: each time it ends again.
    """

    url: str
    receiver: str
    """Host and port of the URL."""
    attempt: int
    retries: int
    job: Job

    @property
    def id(self) -> str:
        """The id by which a receiver recognises a repeated call."""
        return f"{self.job.id}:{self.retries}" if self.retries else str(self.job.id)
