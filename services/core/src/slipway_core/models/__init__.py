"""The models that Slipway can serve, one class for each runtime."""
