"""Model packages: finding them by URI, verifying them, and caching downloads."""

from slipway_core.package.limits import Limits
from slipway_core.package.resolve import Package, resolve_configured, resolve_package

__all__ = ["Limits", "Package", "resolve_configured", "resolve_package"]
