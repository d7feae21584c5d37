"""Time-ordered identifiers (UUID version 7, RFC 9562 section 5.7)."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from uuid import UUID

_RANDOM_BITS = (1 << 74) - 1
_RANDOM_B = (1 << 62) - 1


def uuid7(at: datetime | None = None) -> UUID:
    """A new UUIDv7 for the time `at` (default: now): 48 bits of milliseconds, then random bits.

    Of an id made for now, 12 bits after the milliseconds are the fraction of the millisecond
    (method 3 of section 6.2), so that ids one process makes one after the other are in this order.
    Being ordered by time makes it a good primary key, and lets tables be partitioned by the month
    of the id.
    """
    random_bits = int.from_bytes(os.urandom(10)) & _RANDOM_BITS
    if at is not None:
        return _assemble(int(at.timestamp() * 1000), random_bits)
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    return _assemble(milliseconds, (fraction << 62) | (random_bits & _RANDOM_B))


def first_uuid7(at: datetime) -> UUID:
    """The smallest UUIDv7 of the millisecond `at`: a bound for ranges of ids."""
    return _assemble(int(at.timestamp() * 1000), 0)


def uuid7_time(identifier: UUID) -> datetime:
    """The time at which a UUIDv7 was made."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)


def _assemble(milliseconds: int, random_bits: int) -> UUID:
    random_a, random_b = random_bits >> 62, random_bits & _RANDOM_B
    return UUID(int=(milliseconds << 80) | (7 << 76) | (random_a << 64) | (0b10 << 62) | random_b)
