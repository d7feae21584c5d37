"""Comparison of versions."""

from __future__ import annotations

import re


def version_numbers(text: str) -> tuple[int, ...]:
    """Return the first three numbers of a version, to compare: `5.15.0-91-generic` is 5, 15, 0."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
