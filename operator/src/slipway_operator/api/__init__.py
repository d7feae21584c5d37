"""The Kubernetes API of Slipway, one package for each version."""
