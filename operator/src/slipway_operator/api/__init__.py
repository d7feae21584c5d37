"""The Kubernetes API that Slipway adds, one module for each version."""
