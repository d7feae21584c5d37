"""What `slipway doctor --cluster` checks in a Kubernetes cluster."""
