"""Connections that cost much: others are answered, and the server keeps its memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.adversarial.bodies import MEBIBYTE
from tests.adversarial.connections import ATTACKS, ConnectionAttack
from tests.adversarial.report import make_cost
from tests.adversarial.target import Target

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

MAX_GROWTH_BYTES = 512 * MEBIBYTE
"""Of all requests in progress together: twice what they may reserve."""
MAX_HELD_SECONDS = 0.1
MAX_LIVEZ_SECONDS = 1.0
ATTEMPTS = 3


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_connections_cost_a_bounded_time_and_memory(
    attack: ConnectionAttack,
    targets: Callable[[str], Target],
    record_property: Callable[..., None],
) -> None:
    target = targets("echo")
    for _ in range(ATTEMPTS):
        statuses, measured = target.watch.measure(lambda: attack.run(target))
        target.check_alive()
        assert all(status < 500 for status in statuses)
        assert measured.growth_bytes <= MAX_GROWTH_BYTES
        if measured.is_within(MAX_HELD_SECONDS, MAX_LIVEZ_SECONDS):
            break
    record_property("cost", make_cost(f"connections: {attack.name}", statuses, measured))
    assert measured.is_within(MAX_HELD_SECONDS, MAX_LIVEZ_SECONDS)
