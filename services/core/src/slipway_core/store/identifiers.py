"""Time-ordered identifiers (UUID version 7, RFC 9562 section 5.7).

Their order makes them good primary keys, and lets tables be partitioned by the month of an id.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from uuid import UUID

_RANDOM_BITS = (1 << 74) - 1
_RANDOM_B = (1 << 62) - 1


def uuid7(at: datetime | None = None) -> UUID:
    """Return a new UUIDv7 for the time `at` (default: now): 48 bits of milliseconds, then random.

    In an id made for now, the 12 bits after the milliseconds are the fraction of the millisecond
    (method 3 of section 6.2): ids that one process makes one after the other are in that order.
    """
    random_bits = int.from_bytes(os.urandom(10)) & _RANDOM_BITS
    if at is not None:
        return _assemble(int(at.timestamp() * 1000), random_bits)
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    return _assemble(milliseconds, (fraction << 62) | (random_bits & _RANDOM_B))


def first_uuid7(at: datetime) -> UUID:
    """Return the smallest UUIDv7 of the millisecond `at`: a bound for ranges of ids."""
    return _assemble(int(at.timestamp() * 1000), 0)


def _assemble(milliseconds: int, random_bits: int) -> UUID:
    random_a, random_b = random_bits >> 62, random_bits & _RANDOM_B
    return UUID(int=(milliseconds << 80) | (7 << 76) | (random_a << 64) | (0b10 << 62) | random_b)
