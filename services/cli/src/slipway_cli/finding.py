"""Findings: the results of the checks of `slipway doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """The result of one check; `remedy` is empty when its state is ok."""

    check: str
    state: State
    message: str
    remedy: str = ""
