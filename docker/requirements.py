"""Print the external requirements of a workspace member, one per line.

Usage: requirements.py MEMBER[extra,...]     for example: services/core[torch,db]

The images install this list before they copy any source, so that the large layers stay cached when
the code changes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any


def requirements(folder: Path, extras: list[str]) -> list[str]:
    """Return the requirements of a member with the extras, without other members."""
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    optional = project.get("optional-dependencies", {})
    dependencies = [
        *project.get("dependencies", []),
        *(text for name in extras for text in optional[name]),
    ]
    return sorted(text for text in dependencies if not text.startswith("slipway-"))


def main(argument: str) -> None:
    """Print the requirements of `MEMBER[extra,...]`."""
    match = re.fullmatch(r"([^\[]+)(?:\[([^\]]+)\])?", argument)
    if match is None:
        raise SystemExit(f"{argument!r} is not a member: use FOLDER or FOLDER[extra,...]")
    extras = match[2].split(",") if match[2] else []
    sys.stdout.write("\n".join(requirements(Path(match[1]), extras)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
