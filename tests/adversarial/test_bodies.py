"""Bodies that are made to cost much: no request holds the event loop, or takes the memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.adversarial.bodies import (
    INFER,
    MEBIBYTE,
    Attack,
    all_bodies,
    compressed,
    picture_attacks,
)
from tests.adversarial.report import make_cost
from tests.adversarial.target import Target

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

MAX_BODY_BYTES = 16 * MEBIBYTE
MAX_GROWTH_BYTES = 8 * MAX_BODY_BYTES
MAX_HELD_SECONDS = 0.1
"""Of the largest bodies, on one core."""
MAX_LIVEZ_SECONDS = 1.0
ATTEMPTS = 3
"""Another process may keep the server's core busy once, but not whenever it is attacked."""
CLIENTS = 8
MAX_GROWTH_AT_ONCE_BYTES = 512 * MEBIBYTE
"""Twice what all requests in progress may reserve."""
AT_ONCE = (
    "gzip: parameters: long name over zeros",
    "gzip: parameters: empty lists",
    "1 rows of floats, nested",
    "1 raw rows",
    "a wide row",
)
WHOLE = os.environ.get("ADVERSARIAL") == "whole"
_EVERYWHERE = ("long name over zeros", "empty lists", "integers", "escaped quotes")


def _chosen() -> list[Attack]:
    bodies = all_bodies()
    if WHOLE:
        packed = [compressed(attack, kind) for attack in bodies for kind in ("gzip", "deflate")]
        return [*bodies, *packed, *picture_attacks()]
    values = [attack for attack in bodies if attack.name.endswith(_EVERYWHERE)]
    others = [
        attack for attack in bodies if ": " not in attack.name and "line of" not in attack.name
    ]
    packed = [
        compressed(attack, "gzip")
        for attack in values
        if attack.path == INFER and attack.name.startswith("parameters")
    ]
    return [*values, *others, *packed]


@pytest.mark.parametrize("attack", _chosen(), ids=lambda attack: attack.id)
def test_a_body_costs_a_bounded_time_and_memory(
    attack: Attack, targets: Callable[[str], Target], record_property: Callable[..., None]
) -> None:
    target = targets(attack.model)
    body = attack.make(MAX_BODY_BYTES)
    assert len(body) <= MAX_BODY_BYTES
    for _ in range(ATTEMPTS):
        status, measured = target.watch.measure(lambda: target.send(attack, body))
        target.check_alive()
        assert status < 500
        assert measured.growth_bytes <= MAX_GROWTH_BYTES
        if measured.is_within(MAX_HELD_SECONDS, MAX_LIVEZ_SECONDS):
            break
    record_property("cost", make_cost(f"{attack.path} ({attack.model})", [status], measured))
    assert measured.is_within(MAX_HELD_SECONDS, MAX_LIVEZ_SECONDS)


@pytest.mark.parametrize(
    "attack",
    [each for each in _chosen() if each.name in AT_ONCE and not each.path.endswith("/batch")],
    ids=lambda attack: attack.id,
)
def test_several_at_once_cost_what_one_does(
    attack: Attack, targets: Callable[[str], Target], record_property: Callable[..., None]
) -> None:
    target = targets(attack.model)
    body = attack.make(MAX_BODY_BYTES)

    def send_all() -> list[int]:
        with ThreadPoolExecutor(CLIENTS) as clients:
            return list(clients.map(lambda _: target.send(attack, body), range(CLIENTS)))

    for _ in range(ATTEMPTS):
        statuses, measured = target.watch.measure(send_all)
        target.check_alive()
        assert all(status < 500 for status in statuses)
        assert measured.growth_bytes <= MAX_GROWTH_AT_ONCE_BYTES
        if measured.is_within(MAX_HELD_SECONDS, MAX_LIVEZ_SECONDS):
            break
    route = f"{CLIENTS} at once: {attack.path} ({attack.model})"
    record_property("cost", make_cost(route, statuses, measured))
    assert measured.is_within(MAX_HELD_SECONDS, MAX_LIVEZ_SECONDS)
