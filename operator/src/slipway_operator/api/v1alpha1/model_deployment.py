"""The ModelDeployment: its desired state (`spec`) and its observed state (`status`)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.model_runtime import ModelRuntime
from slipway_operator.api.v1alpha1.model_source import ModelSource
from slipway_operator.api.v1alpha1.network import Network
from slipway_operator.api.v1alpha1.pod_template import PodTemplate
from slipway_operator.api.v1alpha1.route import Monitoring, Route
from slipway_operator.api.v1alpha1.scaling import Autoscaling, Batch

MAX_NAME_LENGTH = 50
"""Maximum length of a name. Pods append a suffix and a hash, within 63 characters."""

NAME_RULES = (
    (
        rf"self.metadata.name.matches(r'^[a-z]([-a-z0-9]*[a-z0-9])?$') && "
        f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
        "the name becomes a Service's name: it must start with a letter, use only a-z, 0-9 and -, "
        f"and have at most {MAX_NAME_LENGTH} characters",
    ),
    (
        "!self.metadata.name.endsWith('-batch')",
        "the name must not end with '-batch': that suffix is reserved for the objects of batch "
        "workers",
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
        ModelRuntime(), description="How the model is computed, and the resources of its pods."
    )
    replicas: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Number of inference pods, by default 1 without `autoscaling`; 0 stops the "
        "model. `kubectl scale` sets it.",
    )
    autoscaling: Autoscaling | None = Field(
        None, description="Scale the inference pods by CPU utilization."
    )
    batch: Batch | None = Field(None, description="Workers for batch jobs; none by default.")
    route: Route = Field(Route(), description="Route for requests from outside the cluster.")
    network: Network = Field(Network(), description="Connections of the pods.")
    monitoring: Monitoring = Field(Monitoring(), description="Scraping by Prometheus.")
    pod_template: PodTemplate | None = Field(
        None,
        description="Part of a pod template that is merged last into that of the inference pods, "
        "for settings without a field of their own. The container is named `server`.",
    )


class Condition(ApiModel):
    """A condition of the ModelDeployment, in the form that all of Kubernetes uses."""

    type: str = Field(
        max_length=63, description="Type of the condition. Ready summarises the others."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(max_length=63, description="Cause, as one word of a closed list.")
    message: str = Field(max_length=2048, description="Cause in words, followed by the remedy.")
    last_transition_time: str = Field(
        description="Time of the last change of `status`.",
        json_schema_extra={"format": "date-time"},
    )
    observed_generation: int = Field(
        0, ge=0, description="`metadata.generation` that the condition is based on."
    )


class ModelDeploymentStatus(ApiModel):
    """Observed state of the ModelDeployment."""

    observed_generation: int = Field(
        0, ge=0, description="`metadata.generation` that the status is based on."
    )
    url: str = Field(
        "", description="URL of the model: its route's, or its Service's without a route."
    )
    replicas: int = Field(0, ge=0, description="Number of inference pods.")
    ready_replicas: int = Field(0, ge=0, description="Number of ready inference pods.")
    selector: str = Field("", description="Label selector of the inference pods, for autoscalers.")
    model_version: str = Field(
        "",
        description="Version of the model that is served, from the spec or as reported by a pod.",
    )
    sandbox: Literal["Active", "Inactive", "Unknown"] = Field(
        "Unknown",
        description="Whether the newest ready pod confines the code of the model, as it reports. "
        "Inactive: the sandbox is off, or the node has no Landlock and the package runs no code of "
        "its own. Unknown: no pod is ready, or the operator does not reach it.",
    )
    conditions: list[Condition] = Field(
        [],
        description="Conditions, one of each type: Ready, Available, Progressing, Reconciled, and "
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
        """`metadata.uid`, which differs from that of an earlier object with the same name."""
        return str(self.metadata["uid"])

    @property
    def generation(self) -> int:
        """`metadata.generation`, which grows with each change of the spec."""
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
