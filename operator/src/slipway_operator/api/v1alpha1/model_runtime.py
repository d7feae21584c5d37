"""`spec.runtime`: how the model computes and what its pods may use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.quantities import Quantity

GPU_RESOURCE = "nvidia.com/gpu"

ResourceAmounts = Annotated[dict[str, Quantity], Field(max_length=16)]

_LIMIT_BELOW_REQUEST = (
    "!has(self.requests) || !has(self.limits) || !('{0}' in self.requests) || "
    "!('{0}' in self.limits) || quantity(string(self.requests['{0}']))"
    ".compareTo(quantity(string(self.limits['{0}']))) <= 0"
)


class Resources(ApiModel):
    """What each pod reserves and may use at most."""

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            *(
                (
                    _LIMIT_BELOW_REQUEST.format(resource),
                    f"`requests.{resource}` is above `limits.{resource}`: raise the limit or lower "
                    "the request",
                )
                for resource in ("cpu", "memory")
            ),
        )
    )

    requests: ResourceAmounts | None = Field(
        None,
        description="Reserved amounts by resource. When absent: cpu 500m, and memory 1Gi or the "
        "limit if that is smaller. Autoscaling measures CPU against the request.",
    )
    limits: ResourceAmounts | None = Field(
        None,
        description="Most amounts by resource. When absent: memory twice the request, and no bound "
        "for cpu. `nvidia.com/gpu` puts the model on a GPU.",
    )


class ModelRuntime(ApiModel):
    """How the model computes. The same for realtime and batch, which has resources of its own."""

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            (
                "!has(self.device) || self.device != 'cuda' || (has(self.resources) && "
                "has(self.resources.limits) && "
                "'nvidia.com/gpu' in self.resources.limits)",
                "`device` cuda needs a GPU: set `resources.limits` with nvidia.com/gpu: 1, or use "
                "device auto",
            ),
            (
                "!has(self.device) || self.device != 'cpu' || !has(self.resources) || "
                "!has(self.resources.limits) || "
                "!('nvidia.com/gpu' in self.resources.limits)",
                "`device` is cpu but `resources.limits` reserves nvidia.com/gpu, which would idle: "
                "remove one of them",
            ),
        )
    )

    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Image of the inference pods; the platform's own when absent.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Where the model computes; auto takes the GPU that `resources` asks for.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Number format; auto takes bf16 where that is faster and answers stay exact.",
    )
    engines: int = Field(
        1, ge=1, le=64, description="Engine processes of each pod, each with a copy of the model."
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads of each engine; 0 takes one for each core that the pod may use, eight "
        "at most for an engine.",
    )
    max_batch_tokens: int = Field(
        2048,
        ge=1,
        le=1_000_000,
        description="Most tokens (tensors: rows) of one batch; batch workers take four times as "
        "many.",
    )
    max_queue_tokens: int = Field(
        65536,
        ge=1,
        le=100_000_000,
        description="Tokens (tensors: rows) that may wait in a pod; above it callers get 429.",
    )
    request_timeout_seconds: int = Field(
        30, ge=1, le=3600, description="Deadline of a request that brings none of its own, seconds."
    )
    startup_timeout_seconds: int = Field(
        600,
        ge=10,
        le=7200,
        description="Longest time from the start of a server to the model being loaded, seconds; "
        "the download comes before and is not counted.",
    )
    resources: Resources = Field(
        Resources(), description="What each inference pod reserves and may use."
    )
