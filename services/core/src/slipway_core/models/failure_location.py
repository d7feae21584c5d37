"""Finds the line in a package's own files that an error came from."""

from __future__ import annotations

import traceback
from pathlib import Path

from slipway_core.errors.foreign_errors import describe_error, writable


def describe_failure(error: BaseException, folder: Path) -> str:
    """Return the error after its last location in the package: `model.py:12: NameError: ...`."""
    if isinstance(error, SyntaxError) and type(error).__module__ == "builtins" and error.filename:
        kind, message = type(error).__name__, writable(str(error.msg))
        return f"{Path(error.filename).name}:{error.lineno}: {kind}: {message}"
    reason = describe_error(error)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(folder):
            return f"{path.relative_to(folder)}:{frame.lineno}: {reason}"
    return reason
