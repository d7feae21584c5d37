"""The processes that run models, started and replaced by a server.

`process`, `isolation` and `placement` run in an engine process; `messages`, `yielding` and `cores`
on both sides; all other modules in the server.
"""
