"""Slipway's operator: reconciles ModelDeployments with the objects of a cluster."""

__version__ = "0.1.0"
