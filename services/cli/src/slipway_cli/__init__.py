"""The `slipway` command and a Python client of the HTTP API."""
