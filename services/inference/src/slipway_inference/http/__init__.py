"""HTTP as every route needs it: connections, routing, bodies, JSON, errors, metrics, documents.

This is the ground of the server. It knows no model, no store and no protocol.
"""
