"""How the `slipway` command ends, for scripts."""

from __future__ import annotations

FAILED = 1
"""The thing asked for was done and went wrong: failed items, failed checks, a refused start."""
USAGE = 2
"""The command line is not understood (typer's own status), or names a file that cannot be used."""
REFUSED = 3
"""The service refused the request: it says which field and why."""
UNAVAILABLE = 4
"""The service cannot be reached, is overloaded or not ready: try again."""
INTERRUPTED = 130
"""Ctrl-C."""
