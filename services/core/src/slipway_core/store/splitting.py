"""Isolation of inputs that kill workers: chunks whose workers died are run alone, then in parts.

The death of a worker does not show which input caused it. So after two deaths a chunk is split into
about as many parts as each part has inputs, after three into single inputs, and from the second
death on the worker computes nothing else beside it.

An input fails when its computation has failed MAX_ATTEMPTS times on workers that survived it: only
the input explains that. A lease is also lost when a node or a pod disappears, or the network does,
so many more lost leases are needed. Meanwhile pauses let the other inputs go first.
"""

from __future__ import annotations

import math

ATTEMPTS_BEFORE_SPLIT = 2
"""Attempts after which a chunk is split, and computed with nothing beside it."""
MAX_ATTEMPTS = 4
"""Failures of surviving workers after which a single input fails."""
MAX_LOST_LEASES = 20
"""Lost leases after which a single input fails, by default: with the pauses, after half an hour."""
PAUSE_AFTER_LOSSES = "greatest(lost - 3, 0) * interval '10 seconds'"
"""SQL expression: how long a chunk waits after its lease has expired. After three losses it is a
single input: if it kills each worker that claims it, work goes on between two deaths.
"""


def has_failed(attempts: int, lost: int, max_lost_leases: int) -> bool:
    """Return whether a single input fails after `attempts`, of which `lost` ended with a lost
    lease.
    """
    return attempts - lost >= MAX_ATTEMPTS or lost >= max_lost_leases


def plan_split(count: int, attempts: int) -> list[int]:
    """Return the sizes of the parts to compute `count` inputs in, after failed `attempts`."""
    if attempts < ATTEMPTS_BEFORE_SPLIT or count == 1:
        return [count]
    parts = math.isqrt(count - 1) + 1 if attempts == ATTEMPTS_BEFORE_SPLIT else count
    size, larger = divmod(count, parts)
    return [size + 1] * larger + [size] * (parts - larger)
