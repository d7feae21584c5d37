"""Settings of the batch worker: those shared with the inference server, and its own."""

from __future__ import annotations

from pydantic import Field

from slipway_core.settings import ServiceSettings


class BatchSettings(ServiceSettings):
    """Settings of one batch worker."""

    lease_seconds: float = Field(
        15, gt=0, le=600, description="Time after which the chunks of a dead worker are taken over."
    )
    max_lost_leases: int = Field(
        20,
        ge=1,
        le=1_000,
        description="Times that the worker of an input may disappear before the input fails.",
    )
    chunk_timeout_seconds: float = Field(
        600, gt=0, le=86_400, description="Maximum time to compute one chunk."
    )
    drain_seconds: float = Field(
        20, ge=0, le=3600, description="Time to finish running chunks after SIGTERM."
    )
    sweep_seconds: float = Field(5, gt=0, le=300, description="Pause between maintenance sweeps.")
