"""Bounds on what fetching a package may take."""

from __future__ import annotations

from dataclasses import dataclass

GIBIBYTE = 1024**3


@dataclass(frozen=True)
class Limits:
    """Bounds on sizes, counts and times. The defaults suit models of up to about ten billion
    weights.
    """

    download_bytes: int = 50 * GIBIBYTE
    unpacked_bytes: int = 100 * GIBIBYTE
    files: int = 10_000
    connect_timeout_seconds: float = 10
    read_timeout_seconds: float = 60
    """Longest silence in the middle of a download."""
    total_timeout_seconds: float = 3600
    """Longest time for a package, waiting for another process that downloads it included."""
    fruitless_tries: int = 5
    """Tries in a row that bring no byte before the download is given up."""
    backoff_seconds: float = 0.5
    """Pause after the first failure; it doubles with each further one, up to 30 seconds."""
