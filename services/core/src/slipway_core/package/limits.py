"""Limits for fetching a package."""

from __future__ import annotations

from dataclasses import dataclass

GIBIBYTE = 1024**3


@dataclass(frozen=True)
class Limits:
    """Limits on sizes, counts and times.

    The defaults suit models of up to about ten billion parameters.
    """

    max_download_bytes: int = 50 * GIBIBYTE
    max_unpacked_bytes: int = 100 * GIBIBYTE
    max_files: int = 10_000
    connect_timeout_seconds: float = 10
    read_timeout_seconds: float = 60
    """The longest pause between two reads of a download."""
    total_timeout_seconds: float = 3600
    """The longest time to fetch a package, including the wait for another process."""
    max_fruitless_attempts: int = 5
    """The number of attempts in a row without progress after which a download fails."""
    backoff_seconds: float = 0.5
    """The pause after the first failure; it doubles after each further one, up to 30 seconds."""
