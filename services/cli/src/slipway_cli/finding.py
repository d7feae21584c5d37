"""Findings: the results of the checks of `slipway doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]
MAX_NAMES = 5
"""Maximum number of names in a message."""


@dataclass(frozen=True)
class Finding:
    """The result of one check; `remedy` is empty when its state is ok."""

    check: str
    state: State
    message: str
    remedy: str = ""


def list_names(names: list[str]) -> str:
    """Return names as in a sentence, the first of many."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
