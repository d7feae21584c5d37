"""Isolation of inputs that kill workers: chunks whose workers died are run alone, then in parts.

The death of a worker does not show which input caused it. So after two deaths a chunk is split into
about as many parts as each part has inputs, after three into single inputs, and from the second
death on the worker computes nothing else beside it. An input whose worker dies at its fourth
attempt fails: four leases, whatever the size of the chunk.
"""

from __future__ import annotations

import math

ATTEMPTS_BEFORE_SPLIT = 2
"""Attempts after which a chunk is split, and computed with nothing beside it."""
MAX_ATTEMPTS = 4
"""Attempts after which a single input fails."""


def plan_split(count: int, attempts: int) -> list[int]:
    """Return the sizes of the parts to compute `count` inputs in, after failed `attempts`."""
    if attempts < ATTEMPTS_BEFORE_SPLIT or count == 1:
        return [count]
    parts = math.isqrt(count - 1) + 1 if attempts == ATTEMPTS_BEFORE_SPLIT else count
    size, larger = divmod(count, parts)
    return [size + 1] * larger + [size] * (parts - larger)
