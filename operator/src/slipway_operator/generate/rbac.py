"""The rights that the operator needs, and no more: the chart's ClusterRole is made from this.

`python -m slipway_operator.generate.rbac` prints it. A test runs the operator with exactly these
rights and compares them with the requests that the API server saw.
"""

from __future__ import annotations

import sys
from typing import Any

from slipway_operator.api.v1alpha1 import GROUP, PLURAL
from slipway_operator.api.v1alpha1.labels import MANAGER
from slipway_operator.generate.crd import CRD_NAME
from slipway_operator.generate.plain_yaml import plain_yaml
from slipway_operator.kubernetes.discovery import OPTIONAL_CRDS
from slipway_operator.kubernetes.kinds import (
    CHILDREN,
    CUSTOM_RESOURCE,
    DISRUPTION_BUDGET,
    EVENT,
    INGRESS_CLASS,
    POD,
    SERVICE_ACCOUNT,
    Kind,
)

Rule = dict[str, Any]

READ = ["list", "watch"]
KEEP = ["create", "delete", "get", "list", "patch", "watch"]
PERMANENT = ["create", "get", "list", "patch", "watch"]
NEVER_DELETED = (SERVICE_ACCOUNT, DISRUPTION_BUDGET)
"""Every ModelDeployment has these as long as it lives, and the garbage collector deletes them."""


def rules() -> list[Rule]:
    """Rules of the operator's role, sorted as a reviewer would read them."""
    return [
        {"apiGroups": [GROUP], "resources": [PLURAL], "verbs": READ},
        {"apiGroups": [GROUP], "resources": [f"{PLURAL}/status"], "verbs": ["patch"]},
        *(_rule(kind, PERMANENT if kind in NEVER_DELETED else KEEP) for kind in CHILDREN),
        _rule(POD, READ),
        _rule(EVENT, ["create", *READ]),
        _rule(INGRESS_CLASS, ["list"]),
        {**_rule(CUSTOM_RESOURCE, ["get"]), "resourceNames": [CRD_NAME, *OPTIONAL_CRDS]},
        {**_rule(CUSTOM_RESOURCE, ["create", "patch"]), "resourceNames": [CRD_NAME]},
    ]


def cluster_role() -> dict[str, Any]:
    """The rules as a ClusterRole."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": MANAGER},
        "rules": rules(),
    }


def _rule(kind: Kind, verbs: list[str]) -> Rule:
    return {"apiGroups": [kind.group], "resources": [kind.plural], "verbs": verbs}


def main() -> None:
    """Print the ClusterRole as YAML."""
    sys.stdout.write(
        "# Made by `make generate` from slipway_operator/generate/rbac.py: do not edit.\n"
    )
    sys.stdout.write(plain_yaml(cluster_role()))


if __name__ == "__main__":
    main()
