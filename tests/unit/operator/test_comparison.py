from __future__ import annotations

from typing import Any

import pytest

from slipway_operator.kubernetes.comparison import contains


@pytest.mark.parametrize(
    ("live", "desired", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 2}, {"a": 1}, False),
        ({}, {"a": 1}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
        ({"a": None}, {"a": {"b": 1}}, False),
        ({"l": [1, 2]}, {"l": [1]}, False),
        ({"l": [{"name": "x", "more": 1}, {"name": "y"}]}, {"l": [{"name": "x"}]}, True),
        ({"l": [{"name": "x"}]}, {"l": [{"name": "z"}]}, False),
        ({"cpu": "1"}, {"cpu": "1000m"}, True),
        ({"memory": "1Gi"}, {"memory": "1024Mi"}, True),
        ({"cpu": "2"}, {"cpu": "1000m"}, False),
        ({"name": "a"}, {"name": "b"}, False),
        ({"l": "text"}, {"l": [{"name": "x"}]}, False),
        ({"name": "1e999999999999"}, {"name": "2"}, False),
    ],
)
def test_a_live_object_contains_its_desired_state_or_not(
    live: Any, desired: Any, same: bool
) -> None:
    assert contains(live, desired) is same
