"""The processes that run models, started and replaced by a server.

`process`, `serving`, `isolation`, `dropped_messages`, `plain_outcomes`, `placement` and
`confinement`, but for its `policy`, run in an engine process; `messages`, `frames`, `policy`,
`yielding` and `cores` on both sides; all other modules in the server.
"""
