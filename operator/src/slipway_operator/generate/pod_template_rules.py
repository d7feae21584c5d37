"""Rules for the chart's ValidatingAdmissionPolicy, from the allow-lists of the operator.

`python -m slipway_operator.generate.pod_template_rules` prints them, `make generate` writes them to
charts/slipway/files, and a test compares the two.
"""

from __future__ import annotations

import sys
from typing import Any

from slipway_operator.generate.plain_yaml import to_yaml
from slipway_operator.policy import required_sandbox
from slipway_operator.policy.pod_fields import CONTAINER, POD, VOLUME, Fields


def build_rules() -> dict[str, Any]:
    """Return the allowed keys by the place in a PodSpec, `spec` for the PodSpec itself.

    `requiredSandbox` has the rules where the platform requires the sandbox, as patterns of RE2.
    """
    return {
        "spec": sorted(POD),
        "securityContext": sorted(_below(POD)),
        "volumes": sorted(VOLUME),
        "containers": sorted(CONTAINER),
        "containers.securityContext": sorted(_below(CONTAINER)),
        "requiredSandbox": {
            "refusedFields": list(required_sandbox.PROGRAM_FIELDS),
            "allowedVariable": f"^({required_sandbox.ALLOWED_VARIABLE})$",
            "refusedVariable": f"^(?i:{required_sandbox.REFUSED_VARIABLE})$",
            "allowedFolder": f"^{required_sandbox.ALLOWED_FOLDER}$",
        },
    }


def _below(fields: Fields) -> Fields:
    inner = fields["securityContext"]
    if callable(inner):
        raise TypeError("the allow-list accepts every security context")
    return inner


def main() -> None:
    """Print the rules as YAML."""
    sys.stdout.write("# Made by `make generate` from slipway_operator/policy: do not edit.\n")
    sys.stdout.write(to_yaml(build_rules()))


if __name__ == "__main__":
    main()
