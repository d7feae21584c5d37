"""The public interface for models written in Python: `from slipway_core.runtime import Model`."""

from slipway_core.models.model import Model

__all__ = ["Model"]
