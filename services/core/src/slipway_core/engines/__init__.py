"""Processes that compute, started and replaced by a server.

`process` and `isolation` run in them, `messages` on both sides, the other modules in the server.
"""
