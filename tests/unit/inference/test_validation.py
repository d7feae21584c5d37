"""msgspec's validation errors in our words."""

from __future__ import annotations

import pytest

from slipway_inference.http.validation import explain


@pytest.mark.parametrize(
    ("message", "field", "rule"),
    [
        ("Expected `object`, got `array`", "", "must be an object, not a list"),
        ("Object missing required field `inputs`", "inputs", "is missing"),
        ("Object contains unknown field `a`", "a", "is not a field of this request"),
        ("Expected `str`, got `int` - at `$.a[0]`", "a.0", "must be a text, not a whole number"),
        ("Expected `str` of length >= 1 - at `$.a`", "a", "must be a text of at least 1 character"),
        ("Expected `array` of length <= 9 - at `$.a`", "a", "must be a list of at most 9 elements"),
        ("Expected `float` > 0.0 - at `$.a`", "a", "must be a number greater than 0"),
        ("Expected `int` <= 7 - at `$.a`", "a", "must be a whole number of at most 7"),
        ("Invalid enum value 'x' - at `$.a`", "a", "invalid enum value 'x'"),
    ],
)
def test_a_message_names_the_field_and_the_rule(message: str, field: str, rule: str) -> None:
    assert explain(message) == (field, rule)
