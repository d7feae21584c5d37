"""`spec.runtime`: how the model is computed, and the resources of its pods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.quantities import Quantity
from slipway_operator.api.v1alpha1.sandbox import Sandbox

GPU_RESOURCE = "nvidia.com/gpu"

ResourceAmounts = Annotated[dict[str, Quantity], Field(max_length=16)]

_LIMIT_BELOW_REQUEST = (
    "!has(self.requests) || !has(self.limits) || !('{0}' in self.requests) || "
    "!('{0}' in self.limits) || quantity(string(self.requests['{0}']))"
    ".compareTo(quantity(string(self.limits['{0}']))) <= 0"
)


class Resources(ApiModel):
    """Resource requests and limits of each pod."""

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
        description="Requested amounts by resource. Default: cpu 500m, and memory 1Gi or the limit "
        "if that is smaller. Autoscaling measures CPU utilization against the request.",
    )
    limits: ResourceAmounts | None = Field(
        None,
        description="Maximum amounts by resource. Default: memory twice the request, and cpu "
        "without limit. `nvidia.com/gpu` puts the model on a GPU.",
    )


class ModelRuntime(ApiModel):
    """How the model is computed, for realtime requests and batch jobs alike. Batch workers may have
    resources of their own.
    """

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
        description="Image of the inference pods; the platform's image by default.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Device that computes the model; auto uses the GPU if `resources` has one, and "
        "otherwise the CPU.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Number format; auto uses bf16 where it is faster and accurate enough, and "
        "otherwise fp32.",
    )
    engines: int = Field(
        1, ge=1, le=64, description="Engine processes per pod, each with its own copy of the model."
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads per engine; 0 means one for each core that the pod may use, at most "
        "eight.",
    )
    max_batch_tokens: int = Field(
        2048,
        ge=1,
        le=1_000_000,
        description="Maximum number of tokens (of rows, for tensors) in a batch; batch workers use "
        "four times as many.",
    )
    max_queue_tokens: int = Field(
        65536,
        ge=1,
        le=100_000_000,
        description="Maximum number of tokens (of rows, for tensors) that wait in a pod; further "
        "requests get 429.",
    )
    request_timeout_seconds: int = Field(
        30, ge=1, le=3600, description="Timeout of a request that sets none of its own, seconds."
    )
    startup_timeout_seconds: int = Field(
        600,
        ge=10,
        le=7200,
        description="Maximum time from the start of the server until the model is loaded, seconds. "
        "The download comes before that and is not included.",
    )
    resources: Resources = Field(
        Resources(), description="Resource requests and limits of each inference pod."
    )
    sandbox: Sandbox = Field(Sandbox(), description="What the model's code may do.")
