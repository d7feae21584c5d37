"""Bodies of /health and the probes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Dependency = Literal["ok", "unavailable", "schema mismatch", "not configured"]


class QueueHealth(msgspec.Struct, frozen=True):
    """State of the queue in front of the model."""

    tokens: int
    max_tokens: int
    requests: int


class SandboxHealth(msgspec.Struct, frozen=True):
    """How the code of the model is confined."""

    active: Annotated[bool, Meta(description="Whether it is; false while the model loads, too.")]
    landlock_abi: Annotated[
        int,
        Meta(description="Version of the kernel's Landlock: 4 bounds TCP, 6 signals. 0: none."),
    ]
    has_filter: Annotated[bool, Meta(description="Whether other calls of the kernel are filtered.")]
    network: Annotated[bool, Meta(description="Whether the model may use the network.")]


class LogHealth(msgspec.Struct, frozen=True):
    """Rows of the prediction log since the process started."""

    written: int
    waiting: int
    dropped: int


class Health(msgspec.Struct, frozen=True):
    """Summary of the service. `degraded`: predictions work, but something else does not."""

    status: Literal["ok", "degraded", "unavailable"]
    reasons: list[str]
    model: str
    version: str
    model_digest: str
    modalities: Annotated[
        list[Literal["text", "tabular", "image"]],
        Meta(description="Modalities that the model serves; empty while it loads."),
    ]
    columns: Annotated[
        list[str], Meta(description="Names of the numbers in a tabular row, if any.")
    ]
    device: Annotated[str, Meta(description="Device of the model; empty while it loads.")]
    precision: Annotated[str, Meta(description="Number format of the model; empty while it loads.")]
    precision_reason: Annotated[str, Meta(description="Reason for that format, with measurements.")]
    sandbox: SandboxHealth
    queue: QueueHealth
    database: Dependency
    redis: Dependency
    prediction_log: LogHealth
    uptime_seconds: float


class Alive(msgspec.Struct, frozen=True):
    """The process is alive, or the model is ready."""

    status: Literal["alive", "ready"]
