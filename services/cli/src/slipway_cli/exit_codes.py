"""Exit codes of the `slipway` command."""

from __future__ import annotations

FAILED = 1
"""The command ran and failed: failed items, failed checks, or a failed start."""
USAGE = 2
"""The command line is invalid (typer's own code), or names a file that cannot be used."""
REFUSED = 3
"""The service rejected the request; the message names the field and the reason."""
UNAVAILABLE = 4
"""The service cannot be reached, is overloaded or is not ready: try again."""
INTERRUPTED = 130
"""Ctrl-C."""
