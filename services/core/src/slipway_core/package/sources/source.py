"""What the cache asks of anything outside this machine that packages come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Fetched:
    """What a source brought: an archive file or a folder, and the source's word for this very
    content.

    `state` is an ETag, a date or a commit; empty when the source has no such word.
    """

    path: Path
    state: str


class Source(Protocol):
    """A remote package. All methods raise ModelError subclasses."""

    @property
    def identity(self) -> str:
        """What tells this source from others: the URI."""

    @property
    def shown(self) -> str:
        """The URI without secrets, for logs and messages."""

    def is_still(self, state: str) -> bool:
        """Whether the source still has the content that it called `state`."""

    def fetch(self, work: Path) -> Fetched:
        """Bring the content into the folder `work`, continuing what an earlier try left there."""
