"""A file that is still being downloaded, and what it is a part of."""

from __future__ import annotations

import json
from pathlib import Path


class PartialFile:
    """`<name>.part` in a folder, with `<name>.state` saying which content it is a part of.

    The state is written before the first byte: after a kill at any moment the two agree, or the
    part is empty.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.part"
        self._state_path = folder / f"{name}.state"

    def size(self) -> int:
        """Bytes that have come so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def state(self) -> str:
        """The source's word for the content that this is a part of; empty when unknown."""
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return state if isinstance(state, str) else ""

    def restart(self, state: str) -> None:
        """Forget what has come, and begin with other content."""
        self.path.unlink(missing_ok=True)
        self._state_path.write_text(json.dumps(state), encoding="utf-8")
