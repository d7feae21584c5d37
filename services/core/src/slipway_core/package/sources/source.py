"""The interface of a remote source of packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Fetched:
    """A downloaded archive file or folder.

    `state` identifies this content at its source: an ETag, a date or a commit; empty when the
    source has none.
    """

    path: Path
    state: str


class Source(Protocol):
    """A remote package. All methods raise ModelErrors."""

    @property
    def identity(self) -> str:
        """The key of this source in the cache: its URI."""

    @property
    def shown(self) -> str:
        """The URI without secrets, for logs and messages."""

    def is_unchanged(self, state: str) -> bool:
        """Return whether the source still has the content identified by `state`."""

    def fetch(self, work: Path) -> Fetched:
        """Download the content into the folder `work`, resuming an earlier download there."""
