"""Slipway's operator: keeps the objects of each ModelDeployment as it declares them."""

__version__ = "0.1.0"
