from __future__ import annotations

from decimal import Decimal

import pytest

from slipway_operator.api.v1alpha1.model_runtime import Resources
from slipway_operator.api.v1alpha1.quantities import double_quantity, parse_quantity
from slipway_operator.desired.resources import resolve_resources


@pytest.mark.parametrize(
    ("quantity", "value"),
    [("1", 1), ("250m", "0.25"), ("2Gi", 2**31), ("1.5k", 1500), ("1e3", 1000), ("5E", 5 * 10**18)],
)
def test_parses_quantities(quantity: str, value: int | str) -> None:
    assert parse_quantity(quantity) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Gi", "1Xi", "one", "1 Gi"])
def test_text_that_is_no_quantity_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize("quantity", ["1Gi", "500m", "3"])
def test_doubling_keeps_the_unit(quantity: str) -> None:
    assert parse_quantity(double_quantity(quantity)) == 2 * parse_quantity(quantity)


def test_doubles_a_fraction() -> None:
    assert double_quantity("1.5Gi") == str(3 * 2**30)


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, {"cpu": "500m", "memory": "1Gi", "limit": "2Gi"}),
        ({"memory": "8Gi"}, {}, {"cpu": "500m", "memory": "8Gi", "limit": "16Gi"}),
        ({}, {"memory": "512Mi"}, {"cpu": "500m", "memory": "512Mi", "limit": "512Mi"}),
        ({}, {"memory": "4Gi"}, {"cpu": "500m", "memory": "1Gi", "limit": "4Gi"}),
        ({}, {"cpu": "250m"}, {"cpu": "250m", "memory": "1Gi", "limit": "2Gi"}),
    ],
)
def test_requests_never_exceed_limits_by_default(
    requests: dict[str, str], limits: dict[str, str], expected: dict[str, str]
) -> None:
    resolved = resolve_resources(Resources(requests=requests, limits=limits))
    assert resolved["requests"]["cpu"] == expected["cpu"]
    assert resolved["requests"]["memory"] == expected["memory"]
    assert resolved["limits"]["memory"] == expected["limit"]
