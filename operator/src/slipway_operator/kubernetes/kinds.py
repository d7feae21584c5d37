"""Kinds of objects that the operator reads and writes.

The client, the watches, pruning and the operator's RBAC rules all use this one list.
"""

from __future__ import annotations

from dataclasses import dataclass

from slipway_operator.api.v1alpha1 import API_VERSION, KIND, PLURAL
from slipway_operator.kubernetes.objects import Object


@dataclass(frozen=True)
class Kind:
    """A kind of object, as the API server addresses it."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Version within the group."""
        return self.api_version.rpartition("/")[2]

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition that defines the kind."""
        return f"{self.plural}.{self.group}"


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

SECRET = Kind("v1", "Secret", "secrets")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
INGRESS_CLASS = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses")
CUSTOM_RESOURCE = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"
)

CHILDREN = (
    SERVICE_ACCOUNT, NETWORK_POLICY, SERVICE, DEPLOYMENT, DISRUPTION_BUDGET, AUTOSCALER, INGRESS,
    HTTP_ROUTE, SERVICE_MONITOR, TRIGGER_AUTHENTICATION, SCALED_OBJECT,
)  # fmt: skip
"""Kinds of objects that a ModelDeployment owns."""

CLUSTER_SCOPED = frozenset({CUSTOM_RESOURCE, INGRESS_CLASS})
"""Kinds whose objects have no namespace."""

_CHILD_BY_NAME = {(kind.api_version, kind.kind): kind for kind in CHILDREN}


def kind_of(manifest: Object) -> Kind:
    """Return the Kind of a child's manifest. Raises KeyError when it is not a child."""
    return _CHILD_BY_NAME[manifest["apiVersion"], manifest["kind"]]
