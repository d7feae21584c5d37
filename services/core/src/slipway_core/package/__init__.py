"""Model packages: finds them by URI, verifies what was found, and keeps downloads."""

from slipway_core.package.limits import Limits
from slipway_core.package.resolve import Package, resolve_configured, resolve_package

__all__ = ["Limits", "Package", "resolve_configured", "resolve_package"]
