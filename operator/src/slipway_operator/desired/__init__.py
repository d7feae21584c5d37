"""The desired state: builders that turn a plan into the objects of a ModelDeployment.

They are pure: they neither read the cluster nor change their arguments. Each returns one object as
a plain dict, which reads like the YAML it becomes.
"""

from slipway_operator.desired.children import build_children

__all__ = ["build_children"]
