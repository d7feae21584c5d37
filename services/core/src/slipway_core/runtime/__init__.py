"""Models: what a package holds, how it is loaded, and how inputs reach it in batches.

The server processes import only the light half (manifest, inputs, engine, batcher). torch is
imported in engine processes alone, which this package starts and talks to over a socket.
"""

from slipway_core.models.model import Model

__all__ = ["Model"]
