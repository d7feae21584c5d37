"""The schema that the migrations must produce, which a test compares with them.

Servers do not import this module: they run handwritten SQL. Partitions are created by
`slipway_core.store.schema.partitions` and are not described here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from slipway_core.store.states import (
    CHUNK_IS_OPEN,
    CHUNK_STATES,
    JOB_IS_OPEN,
    JOB_STATES,
    state_in,
)

_TIME = DateTime(timezone=True)
_NOW = text("now()")


class Prediction(SQLModel, table=True):
    """One realtime prediction. Partitioned by month of `created_at`."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index("predictions_deployment", "deployment", "id"),
        Index("predictions_failures", "deployment", "id", postgresql_where=text("status <> 'ok'")),
        Index("predictions_time", "created_at", postgresql_using="brin"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: UUID = Field(primary_key=True)
    created_at: datetime = Field(primary_key=True, sa_type=_TIME)
    request_id: str = Field(sa_type=Text)
    model: str = Field(sa_type=Text)
    version: str = Field(sa_type=Text)
    model_digest: str = Field(sa_type=Text)
    modality: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    input: Any | None = Field(sa_column=Column(JSONB))
    prediction: Any | None = Field(sa_column=Column(JSONB))
    embedding: Any | None = Field(sa_column=Column(ARRAY(REAL)))
    latency_ms: float
    tokens: int
    deployment: str = Field(sa_column_kwargs={"server_default": text("''")}, sa_type=Text)


class BatchJob(SQLModel, table=True):
    """One batch job, with its counters and the state of its webhook call.

    input_bytes: size of the inputs as they are sent to PostgreSQL. retries: how often its failed
    items were computed again by request.
    """

    __tablename__ = "batch_jobs"
    __table_args__ = (
        CheckConstraint(state_in(JOB_STATES), name="batch_jobs_state"),
        Index("batch_jobs_key", "queue", "idempotency_key", unique=True),
        Index("batch_jobs_open", "queue", postgresql_where=text(JOB_IS_OPEN)),
        Index(
            "batch_jobs_deadline",
            "deadline",
            postgresql_where=text(JOB_IS_OPEN + " AND deadline IS NOT NULL"),
        ),
        Index(
            "batch_jobs_webhook",
            "webhook_next_at",
            postgresql_where=text("webhook_next_at IS NOT NULL"),
        ),
    )

    id: UUID = Field(primary_key=True)
    queue: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    model: str = Field(sa_type=Text)
    version: str = Field(sa_type=Text)
    model_digest: str = Field(sa_type=Text)
    modality: str = Field(sa_type=Text)
    labels: Any = Field(sa_column=Column(JSONB, nullable=False))
    parameters: Any = Field(sa_column=Column(JSONB, nullable=False))
    idempotency_key: str | None = Field(sa_type=Text)
    request_digest: bytes
    total: int
    succeeded: int = Field(sa_column_kwargs={"server_default": text("0")})
    failed: int = Field(sa_column_kwargs={"server_default": text("0")})
    created_at: datetime = Field(sa_column=Column(_TIME, nullable=False, server_default=_NOW))
    started_at: datetime | None = Field(sa_column=Column(_TIME))
    finished_at: datetime | None = Field(sa_column=Column(_TIME))
    deadline: datetime | None = Field(sa_column=Column(_TIME))
    reason: str | None = Field(sa_type=Text)
    webhook_url: str | None = Field(sa_type=Text)
    webhook_attempts: int = Field(sa_column_kwargs={"server_default": text("0")})
    webhook_next_at: datetime | None = Field(sa_column=Column(_TIME))
    webhook_delivered_at: datetime | None = Field(sa_column=Column(_TIME))
    webhook_error: str | None = Field(sa_type=Text)
    input_bytes: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})
    retries: int = Field(sa_column_kwargs={"server_default": text("0")})


class BatchChunk(SQLModel, table=True):
    """The unit that a worker claims: `count` consecutive items of a job.

    available_at: the time from which the chunk can be claimed; for a running one, when its lease
    expires. rings: how often it was announced on the queue. attempt: computations that were begun.
    lost: those of them whose lease was lost, so that nobody knows how they ended.
    """

    __tablename__ = "batch_chunks"
    __table_args__ = (
        CheckConstraint(state_in(CHUNK_STATES), name="batch_chunks_state"),
        Index(
            "batch_chunks_open",
            "queue",
            "job_id",
            "chunk",
            postgresql_where=text(CHUNK_IS_OPEN),
        ),
    )

    job_id: UUID = Field(
        sa_column=Column(ForeignKey("batch_jobs.id", ondelete="CASCADE"), primary_key=True)
    )
    chunk: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    queue: str = Field(sa_type=Text)
    first_index: int
    count: int
    state: str = Field(sa_type=Text, sa_column_kwargs={"server_default": "waiting"})
    attempt: int = Field(sa_column_kwargs={"server_default": text("0")})
    lease_token: UUID | None
    available_at: datetime = Field(sa_column=Column(_TIME, nullable=False, server_default=_NOW))
    rings: int = Field(sa_column_kwargs={"server_default": text("1")})
    rung_at: datetime = Field(sa_column=Column(_TIME, nullable=False, server_default=_NOW))
    lost: int = Field(sa_column_kwargs={"server_default": text("0")})


class BatchItem(SQLModel, table=True):
    """One input of a job. Partitioned by month of `job_id`."""

    __tablename__ = "batch_items"
    __table_args__ = ({"postgresql_partition_by": "RANGE (job_id)"},)

    job_id: UUID = Field(primary_key=True)
    idx: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    input: Any = Field(sa_column=Column(JSONB, nullable=False))
    tokens: int


class BatchResult(SQLModel, table=True):
    """The only result of an item: a prediction or an error. Partitioned by month of `job_id`."""

    __tablename__ = "batch_results"
    __table_args__ = ({"postgresql_partition_by": "RANGE (job_id)"},)

    job_id: UUID = Field(primary_key=True)
    idx: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    prediction: Any | None = Field(sa_column=Column(JSONB))
    embedding: Any | None = Field(sa_column=Column(ARRAY(REAL)))
    error_code: str | None = Field(sa_type=Text)
    error_message: str | None = Field(sa_type=Text)
    attempts: int
