"""msgspec's messages become the path of a value and the rule that it breaks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from slipway_core.errors.msgspec_messages import Violation, parse_message


class Leaf(msgspec.Struct, forbid_unknown_fields=True):
    size: int
    names: list[str] = []


class Root(msgspec.Struct):
    leaves: list[Leaf] = []
    by_name: dict[str, Leaf] = {}


@pytest.mark.parametrize(
    ("value", "violation"),
    [
        ([], Violation((), "Expected `object`, got `array`")),
        (
            {"leaves": [{"size": 1}, {"size": "a"}]},
            Violation(("leaves", "1", "size"), "Expected `int`, got `str`"),
        ),
        (
            {"leaves": [{}]},
            Violation(("leaves", "0"), "Object missing required field `size`", missing="size"),
        ),
        (
            {"leaves": [{"size": 1, "si`ze": 2}]},
            Violation(("leaves", "0"), "Object contains unknown field `si`ze`", unknown="si`ze"),
        ),
        (
            {"by_name": {"a.b": {"size": 1, "names": [2]}}},
            Violation(("by_name", "names", "0"), "Expected `str`, got `int`"),
        ),
    ],
)
def test_a_message_is_parsed(value: Any, violation: Violation) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(value, Root)
    assert parse_message(str(error.value)) == violation
