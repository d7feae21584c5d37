"""Bodies of batch jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from slipway_core.maintenance.webhooks.address_policy import MAX_URL_LENGTH
from slipway_core.store.states import JobState
from slipway_inference.prediction.fields import Labels, Parameters

MAX_DEADLINE_SECONDS = 30 * 86_400
DeadlineSeconds = Annotated[
    float,
    Meta(
        gt=0,
        le=MAX_DEADLINE_SECONDS,
        description="Seconds after which inputs that have not run expire.",
    ),
]
WebhookUrl = Annotated[
    str,
    Meta(
        max_length=MAX_URL_LENGTH,
        description="URL that receives the job's final status, signed, at least once.",
        examples=["https://example.com/hooks/slipway"],
    ),
]


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch job small enough for one JSON body; longer ones are sent as NDJSON."""

    inputs: Annotated[
        list[Any],
        Meta(
            min_length=1,
            description="Texts, rows or images in base64, or objects as /predict accepts them.",
            examples=[["first text", "second text"]],
        ),
    ]
    labels: Labels = []
    parameters: Parameters = {}
    deadline_seconds: DeadlineSeconds | None = None
    webhook_url: WebhookUrl | None = None


class JobAccepted(msgspec.Struct, frozen=True):
    """A batch job that has been stored."""

    task_id: UUID
    status: JobState
    total: int
    status_url: Annotated[str, Meta(description="Path of the status, also in the header Location.")]


class ItemError(msgspec.Struct, frozen=True):
    """Why one input has no prediction."""

    code: str
    message: str


class JobItem(msgspec.Struct, frozen=True):
    """The result of one input: a prediction or an error."""

    index: Annotated[int, Meta(ge=0, description="Position of the input in the job, from 0.")]
    attempts: int
    prediction: dict[str, Any] | None = None
    error: ItemError | None = None


class JobStatus(msgspec.Struct, frozen=True):
    """A batch job, and one page of its results."""

    task_id: UUID
    status: JobState
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
    results: list[JobItem]
    next: Annotated[
        str | None, Meta(description="Path of the next page; null if there is none yet.")
    ]


class JobProgress(msgspec.Struct, frozen=True):
    """The data of a `progress` or `done` event."""

    task_id: UUID
    status: JobState
    total: int
    succeeded: int
    failed: int
