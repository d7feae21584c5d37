"""An unfinished download of one file."""

from __future__ import annotations

import json
from pathlib import Path


class PartialFile:
    """The file `<name>.part` in a folder, and `<name>.state`, which identifies its content.

    The state is written before the first byte: when the process is killed, the two agree or the
    part is empty.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.part"
        self._state_path = folder / f"{name}.state"

    def size(self) -> int:
        """Return the bytes received so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def state(self) -> str:
        """Return the state of the content at its source; empty when unknown."""
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return state if isinstance(state, str) else ""

    def restart(self, state: str) -> None:
        """Delete the received bytes and begin with content of another state."""
        self.path.unlink(missing_ok=True)
        self._state_path.write_text(json.dumps(state), encoding="utf-8")
