"""`podTemplate`: pod settings for which the API has no field."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.config import JsonDict

from slipway_operator.api.v1alpha1.api_model import ApiModel

PRESERVED: JsonDict = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class PodTemplateMetadata(ApiModel):
    """Labels and annotations to add to the pods."""

    labels: dict[str, str] = Field(
        {},
        max_length=64,
        description="Labels to add. The labels that select the pods cannot be changed.",
    )
    annotations: dict[str, str] = Field({}, max_length=64, description="Annotations to add.")


class PodTemplate(ApiModel):
    """Part of a pod template. It is merged as server-side apply merges: lists of named items
    (containers, volumes, env, ports) item by item. Other values are replaced, and a null removes a
    field.
    """

    metadata: PodTemplateMetadata = Field(
        PodTemplateMetadata(), description="Labels and annotations to add to the pods."
    )
    spec: dict[str, Any] = Field(
        {},
        description="Part of a core/v1 PodSpec, with fields that keep the pods within the Pod "
        "Security Standard `restricted` and on their own service account. The platform can allow "
        "more.",
        json_schema_extra=PRESERVED,
    )
