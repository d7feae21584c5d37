"""The error of the embedded servers."""

from __future__ import annotations

from slipway_core.errors import SlipwayError


class EmbeddedServerFailed(SlipwayError):
    """The embedded PostgreSQL or Valkey could not be started or stopped."""
