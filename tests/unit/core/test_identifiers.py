"""Identifiers are ordered by the time of their creation, also within a millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from slipway_core.store.identifiers import first_uuid7, uuid7


def test_identifiers_are_in_the_order_of_their_creation() -> None:
    made = [uuid7() for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(identifier.version, identifier.variant) for identifier in made} == {
        (7, "specified in RFC 4122")
    }


def test_an_identifier_contains_the_time_of_its_creation() -> None:
    before = datetime.now(UTC)
    assert timedelta(milliseconds=-1) <= _created_at(uuid7()) - before < timedelta(minutes=1)
    at = datetime(2026, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)
    assert abs(_created_at(uuid7(at)) - at) <= timedelta(milliseconds=1)
    assert first_uuid7(at) <= uuid7(at) < first_uuid7(at + timedelta(milliseconds=2))


def _created_at(identifier: UUID) -> datetime:
    """Read the milliseconds in the first 48 bits."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)
