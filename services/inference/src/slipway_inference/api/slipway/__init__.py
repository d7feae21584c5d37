"""Slipway's own protocol: /predict for one request at a time, and the prediction log."""
