"""Finds the input that kills workers: chunks that died are run alone, then in ever smaller parts.

A worker that dies takes all that it computed with it, guilty or not. So after two deaths a chunk is
split into about as many parts as each part has inputs, after three into single inputs, and from the
second death on a worker computes nothing beside it. An input that dies alone at its fourth attempt
is given up: four leases, whatever the size of the chunk.
"""

from __future__ import annotations

import math

FIRST_SUSPICION = 2
"""Attempts after which a chunk is split, and computed with nothing beside it."""
LAST_ATTEMPT = 4
"""Attempts after which a single input fails."""


def plan_split(count: int, attempts: int) -> list[int]:
    """Sizes of the parts in which `count` inputs are to be computed after `attempts` failed."""
    if attempts < FIRST_SUSPICION or count == 1:
        return [count]
    parts = math.isqrt(count - 1) + 1 if attempts == FIRST_SUSPICION else count
    size, larger = divmod(count, parts)
    return [size + 1] * larger + [size] * (parts - larger)
