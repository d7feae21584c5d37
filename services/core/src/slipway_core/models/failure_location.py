"""Finds the line in a package's own files that an error came from."""

from __future__ import annotations

import traceback
from pathlib import Path


def describe_failure(error: BaseException, folder: Path) -> str:
    """Return the error after its last location in the package: `model.py:12: NameError: ...`."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: {type(error).__name__}: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(folder):
            return f"{path.relative_to(folder)}:{frame.lineno}: {reason}"
    return reason
