"""The desired state: builders that turn a plan into the objects of a ModelDeployment.

Builders are pure. Each returns one object as a plain dict and neither reads the cluster nor changes
its arguments.
"""

from slipway_operator.desired.children import build_children

__all__ = ["build_children"]
