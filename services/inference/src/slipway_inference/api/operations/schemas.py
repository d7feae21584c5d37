"""Bodies of /health and the probes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Dependency = Literal["ok", "unavailable", "not configured"]


class QueueHealth(msgspec.Struct, frozen=True):
    """How full the queue in front of the model is."""

    tokens: int
    max_tokens: int
    requests: int


class LogHealth(msgspec.Struct, frozen=True):
    """Rows of the prediction log since the process started."""

    written: int
    waiting: int
    dropped: int


class Health(msgspec.Struct, frozen=True):
    """Summary of the service. `degraded`: predictions are answered, but something else is not."""

    status: Literal["ok", "degraded", "unavailable"]
    reasons: list[str]
    model: str
    version: str
    model_digest: str
    modalities: Annotated[
        list[Literal["text", "tabular", "image"]],
        Meta(description="What the model answers; empty while it loads."),
    ]
    columns: Annotated[
        list[str], Meta(description="Names of the numbers of a tabular row, where there are any.")
    ]
    device: Annotated[str, Meta(description="Where the model computes; empty while it loads.")]
    precision: Annotated[str, Meta(description="The model's number format; empty while it loads.")]
    precision_reason: Annotated[str, Meta(description="Why it has that format, with figures.")]
    queue: QueueHealth
    database: Dependency
    redis: Dependency
    prediction_log: LogHealth
    uptime_seconds: float


class Alive(msgspec.Struct, frozen=True):
    """The process runs, or the model is ready."""

    status: Literal["alive", "ready"]
