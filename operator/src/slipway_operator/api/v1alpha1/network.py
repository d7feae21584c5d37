"""`spec.network`: what the pods may connect to beyond what Slipway needs."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.model_source import ObjectName

Port = Annotated[int, Field(ge=1, le=65535)]


class EgressRule(ApiModel):
    """Addresses or a namespace that the pods may connect to, over TCP."""

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            (
                "has(self.cidr) != has(self.namespace)",
                "give either `cidr` or `namespace`: addresses, or the pods of a namespace",
            )
        )
    )

    cidr: str | None = Field(
        None,
        max_length=64,
        description="Addresses, such as 10.1.2.0/24. Addresses of metadata services of clouds are "
        "left out.",
        json_schema_extra=reject_unless(
            ("isCIDR(self)", "`cidr` must be a range of addresses such as 10.1.2.0/24")
        ),
    )
    namespace: ObjectName | None = Field(None, description="Namespace whose pods to connect to.")
    ports: list[Port] = Field(
        min_length=1, max_length=16, description="Ports of the pods or addresses."
    )


class Network(ApiModel):
    """Connections of the pods, where the platform creates NetworkPolicies."""

    egress: list[EgressRule] = Field(
        [],
        max_length=16,
        description="Connections beyond DNS, the platform's stores, the download on ports 80, 443 "
        "and that of `model.uri`, and webhooks: for example to an object store on port 9000. The "
        "platform must have granted them to the namespace.",
    )
