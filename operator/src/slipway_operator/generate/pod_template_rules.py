"""Allowed keys for the chart's ValidatingAdmissionPolicy, from the allow-list of the operator.

`python -m slipway_operator.generate.pod_template_rules` prints them, `make generate` writes them to
charts/slipway/files, and a test compares the two.
"""

from __future__ import annotations

import sys

from slipway_operator.generate.plain_yaml import to_yaml
from slipway_operator.policy.pod_fields import CONTAINER, POD, VOLUME, Fields


def build_rules() -> dict[str, list[str]]:
    """Return the allowed keys by the place in a PodSpec, `spec` for the PodSpec itself."""
    return {
        "spec": sorted(POD),
        "securityContext": sorted(_below(POD)),
        "volumes": sorted(VOLUME),
        "containers": sorted(CONTAINER),
        "containers.securityContext": sorted(_below(CONTAINER)),
    }


def _below(fields: Fields) -> Fields:
    inner = fields["securityContext"]
    if callable(inner):
        raise TypeError("the allow-list accepts every security context")
    return inner


def main() -> None:
    """Print the keys as YAML."""
    sys.stdout.write(
        "# Made by `make generate` from slipway_operator/policy/pod_fields.py: do not edit.\n"
    )
    sys.stdout.write(to_yaml(build_rules()))


if __name__ == "__main__":
    main()
