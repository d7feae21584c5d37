"""What the repositories take and give: plain values, so that no caller sees a row, a cursor or a
table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

JobState = Literal["queued", "running", "succeeded", "partial", "failed", "cancelled", "expired"]
FINAL_STATES: frozenset[JobState] = frozenset(
    {"succeeded", "partial", "failed", "cancelled", "expired"}
)


class PredictionRecord(msgspec.Struct, frozen=True):
    """One realtime prediction, answered or refused, for the prediction log."""

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
    """Little-endian float32; empty when there is none or predictions are not logged."""
    latency_ms: float
    tokens: int


@dataclass(frozen=True, slots=True)
class PredictionFilter:
    """Which rows of the prediction log to read; None leaves that column open. Newest first."""

    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    version: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A batch job as it is submitted."""

    id: UUID
    queue: str
    model: str
    version: str
    model_digest: str
    modality: str
    labels: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    deadline: datetime | None = None
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """One input of a job as it is stored: its JSON text and its estimated cost in tokens."""

    input_json: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Job:
    """A batch job as PostgreSQL knows it."""

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
    """Why the job did not succeed, in words; None while it may still."""

    @property
    def finished(self) -> bool:
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The one result of one item: a prediction or an error."""

    index: int
    prediction: dict[str, Any] | None
    embedding: bytes
    error_code: str | None
    error_message: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that this worker holds until `lease_token` expires or it writes the results."""

    job_id: UUID
    chunk: int
    first_index: int
    attempt: int
    lease_token: UUID
    modality: str
    labels: tuple[str, ...]
    parameters: dict[str, Any]
    inputs: list[Any]
    """The inputs as JSON values, in order from `first_index`."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a queue has to do: chunks that wait or run, and the age of the oldest that waits."""

    waiting: int
    running: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call of a webhook that is due; `attempt` counts this one too."""

    url: str
    attempt: int
    job: Job
