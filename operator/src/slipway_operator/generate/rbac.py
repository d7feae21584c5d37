"""The operator's ClusterRole, from which the chart's role is made.

`python -m slipway_operator.generate.rbac` prints it. It grants what the operator uses and nothing
else: a test runs the operator with it and compares the rules with the API server's audit log.
"""

from __future__ import annotations

import sys

from slipway_operator.api.v1alpha1 import GROUP, PLURAL
from slipway_operator.api.v1alpha1.labels import MANAGER
from slipway_operator.generate.plain_yaml import to_yaml
from slipway_operator.kubernetes.capabilities import OPTIONAL_KINDS
from slipway_operator.kubernetes.kinds import (
    CHILDREN,
    CLAIM,
    CUSTOM_RESOURCE,
    DISRUPTION_BUDGET,
    EVENT,
    INGRESS_CLASS,
    MODEL_DEPLOYMENT,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
)
from slipway_operator.kubernetes.objects import Object

READ = ["list", "watch"]
KEEP = ["create", "delete", "get", "list", "patch", "watch"]
PERMANENT = ["create", "get", "list", "patch", "watch"]
NEVER_DELETED = (SERVICE_ACCOUNT, DISRUPTION_BUDGET)
"""Children that every ModelDeployment always has. Only the garbage collector deletes them."""


def build_rules() -> list[Object]:
    """Return the rules of the ClusterRole: the operator's API, its children, everything else."""
    own_crd = MODEL_DEPLOYMENT.crd_name
    optional_crds = [kind.crd_name for kind in OPTIONAL_KINDS]
    return [
        _rule(MODEL_DEPLOYMENT, READ),
        {"apiGroups": [GROUP], "resources": [f"{PLURAL}/status"], "verbs": ["patch"]},
        *(_rule(kind, PERMANENT if kind in NEVER_DELETED else KEEP) for kind in CHILDREN),
        _rule(POD, READ),
        # To read the labels of what a ModelDeployment names. The contents are never requested.
        *(_rule(kind, ["get"]) for kind in (CLAIM, SECRET)),
        _rule(EVENT, ["create", *READ]),
        _rule(INGRESS_CLASS, ["list"]),
        {**_rule(CUSTOM_RESOURCE, ["get"]), "resourceNames": [own_crd, *optional_crds]},
        {**_rule(CUSTOM_RESOURCE, ["create", "patch"]), "resourceNames": [own_crd]},
    ]


def build_cluster_role() -> Object:
    """Return the ClusterRole."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": MANAGER},
        "rules": build_rules(),
    }


def _rule(kind: Kind, verbs: list[str]) -> Object:
    return {"apiGroups": [kind.group], "resources": [kind.plural], "verbs": verbs}


def main() -> None:
    """Print the ClusterRole as YAML."""
    sys.stdout.write(
        "# Made by `make generate` from slipway_operator/generate/rbac.py: do not edit.\n"
    )
    sys.stdout.write(to_yaml(build_cluster_role()))


if __name__ == "__main__":
    main()
