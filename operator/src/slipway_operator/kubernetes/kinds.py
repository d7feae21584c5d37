"""The kinds of objects that the operator reads and writes: the one list behind its client, its
watches, what it prunes, and its RBAC rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from slipway_operator.api.v1alpha1 import API_VERSION, KIND, PLURAL


@dataclass(frozen=True)
class Kind:
    """One kind of object, as the API server addresses it."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version in the group."""
        return self.api_version.rpartition("/")[2]


MODEL_DEPLOYMENT = Kind(API_VERSION, KIND, PLURAL)

SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
SERVICE = Kind("v1", "Service", "services")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
SERVICE_MONITOR = Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors")
TRIGGER_AUTHENTICATION = Kind("keda.sh/v1alpha1", "TriggerAuthentication", "triggerauthentications")
SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects")

POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
INGRESS_CLASS = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses")
CUSTOM_RESOURCE = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"
)

BUILT_IN_CHILDREN = (
    SERVICE_ACCOUNT, NETWORK_POLICY, SERVICE, DEPLOYMENT, DISRUPTION_BUDGET, AUTOSCALER, INGRESS,
)  # fmt: skip
"""Children that every cluster can hold."""

OPTIONAL_CHILDREN = (HTTP_ROUTE, SERVICE_MONITOR, TRIGGER_AUTHENTICATION, SCALED_OBJECT)
"""Children whose CRDs a cluster may lack."""

CHILDREN = BUILT_IN_CHILDREN + OPTIONAL_CHILDREN

BY_NAME = {(kind.api_version, kind.kind): kind for kind in CHILDREN}


def kind_of(manifest: dict[str, object]) -> Kind:
    """The Kind of a child's manifest; KeyError when the operator does not manage such objects."""
    return BY_NAME[str(manifest["apiVersion"]), str(manifest["kind"])]
