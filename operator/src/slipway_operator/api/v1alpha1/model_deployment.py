"""The ModelDeployment: what a user declares (`spec`) and what the operator reports (`status`)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.model_runtime import ModelRuntime
from slipway_operator.api.v1alpha1.model_source import ModelSource
from slipway_operator.api.v1alpha1.pod_template import PodTemplate
from slipway_operator.api.v1alpha1.route import Monitoring, Route
from slipway_operator.api.v1alpha1.scaling import Autoscaling, Batch

MAX_NAME_LENGTH = 50
"""Children carry the name with a suffix, and pods a hash after that, in at most 63 characters."""

NAME_RULES = (
    (
        rf"self.metadata.name.matches(r'^[a-z]([-a-z0-9]*[a-z0-9])?$') && "
        f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
        "the name becomes a Service's name: it must start with a letter, use only a-z, 0-9 and -, "
        f"and have at most {MAX_NAME_LENGTH} characters",
    ),
    (
        "!self.metadata.name.endsWith('-batch')",
        "the name must not end with '-batch': the workers of another ModelDeployment may be called "
        "so",
    ),
)


class ModelDeploymentSpec(ApiModel):
    """What to serve and how. Everything may be changed at any time; pods are replaced without a
    failed request.
    """

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            (
                "!(has(self.replicas) && has(self.autoscaling))",
                "`replicas` and `autoscaling` exclude each other: remove `replicas` to let the "
                "autoscaler decide (raise `autoscaling.minReplicas` for more), or remove "
                "`autoscaling` to scale by hand",
            )
        )
    )

    model: ModelSource = Field(description="The model package to serve.")
    runtime: ModelRuntime = Field(
        ModelRuntime(), description="How the model computes and what its pods may use."
    )
    replicas: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Number of inference pods, 1 when neither this nor `autoscaling` is given; 0 "
        "stops the model. `kubectl scale` sets it.",
    )
    autoscaling: Autoscaling | None = Field(
        None, description="Let the CPU use decide the number of inference pods."
    )
    batch: Batch | None = Field(None, description="Workers for batch jobs; none when absent.")
    route: Route = Field(Route(), description="How requests from outside the cluster arrive.")
    monitoring: Monitoring = Field(Monitoring(), description="Scraping by Prometheus.")
    pod_template: PodTemplate | None = Field(
        None,
        description="Merged over the inference pods' template last, for what this API has no field "
        "for; the container is named `server`.",
    )


class Condition(ApiModel):
    """One fact about the ModelDeployment, in the form that all of Kubernetes uses."""

    type: str = Field(max_length=63, description="Which fact: Ready summarises the others.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(max_length=63, description="Why, as one word of a closed list.")
    message: str = Field(max_length=2048, description="Why, in words, and what to do about it.")
    last_transition_time: str = Field(
        description="When `status` last changed.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(
        0, ge=0, description="`metadata.generation` that this was found for."
    )


class ModelDeploymentStatus(ApiModel):
    """What the operator found."""

    observed_generation: int = Field(
        0, ge=0, description="`metadata.generation` that this status was found for."
    )
    url: str = Field("", description="Where the model answers; the Service when there is no route.")
    replicas: int = Field(0, ge=0, description="Inference pods that exist.")
    ready_replicas: int = Field(0, ge=0, description="Inference pods that answer.")
    selector: str = Field("", description="Labels of the inference pods, for autoscalers.")
    model_version: str = Field(
        "",
        description="Version of the model that answers: as the spec has it, else as a pod reports "
        "it.",
    )
    conditions: list[Condition] = Field(
        [],
        description="Facts, one of each type: Ready, Available, Progressing, Reconciled, and "
        "RouteReady, AutoscalingReady and BatchReady where the spec asks for them.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )


class ModelDeployment(ApiModel):
    """A model that is served: its pods, scaling, route and monitoring."""

    api_version: str
    kind: Literal["ModelDeployment"]
    metadata: dict[str, Any]
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str:
        """`metadata.namespace`."""
        return str(self.metadata["namespace"])

    @property
    def uid(self) -> str:
        """`metadata.uid`: tells an object from an earlier one of the same name."""
        return str(self.metadata["uid"])

    @property
    def generation(self) -> int:
        """`metadata.generation`: grows with each change of the spec."""
        return int(self.metadata.get("generation", 0))

    @property
    def fixed_replicas(self) -> int | None:
        """Number of inference pods; None while an autoscaler decides it."""
        if self.spec.autoscaling:
            return None
        return 1 if self.spec.replicas is None else self.spec.replicas

    @property
    def min_available_replicas(self) -> int:
        """Number of ready inference pods below which the model is not available."""
        if self.spec.autoscaling:
            return self.spec.autoscaling.min_replicas
        return self.fixed_replicas or 0

    @property
    def enabled_batch(self) -> Batch | None:
        """Batch workers of the spec; None when they are absent or disabled."""
        return self.spec.batch if self.spec.batch and self.spec.batch.enabled else None

    @property
    def declared_version(self) -> str:
        """Version of the model in the spec, or else the start of its sha256; may be empty."""
        return self.spec.model.version or (self.spec.model.sha256 or "")[:12]
