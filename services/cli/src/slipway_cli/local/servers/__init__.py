"""The embedded PostgreSQL and Valkey of `slipway local`, from Python wheels.

A production installation brings its own servers.
"""
