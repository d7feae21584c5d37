"""Checking an input costs little memory, however the input was made to cost much."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from slipway_core.errors import InvalidInput
from slipway_core.errors.msgspec_messages import parse_message
from slipway_core.inputs.json_values import MAX_KEY_CHARACTERS, check_json
from slipway_core.inputs.parsing import parse_rows
from slipway_core.inputs.rows import MAX_ROWS
from slipway_core.package.manifest import Manifest, TensorSpec

MEBIBYTE = 1024 * 1024
LONG_NAME = "k" * MEBIBYTE
COLUMNS = [f"column-{number}" for number in range(100)]
OPEN = Manifest(name="o", task="python", runtime="python", modalities=["tabular"])
TABLE = Manifest(
    name="t",
    task="tensor",
    runtime="torchscript",
    inputs=[TensorSpec(name="x", shape=[-1, len(COLUMNS)], columns=COLUMNS)],
)


def peak_bytes(action: Callable[[], object]) -> int:
    """Return the memory that an action allocated at its peak. The action must be refused."""
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput) as error:
            action()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(error.value.message) < 2_000
    assert all(len(each.field) < 500 and len(each.message) < 2_000 for each in error.value.errors)
    return peak


@pytest.mark.parametrize(
    "value",
    [
        {LONG_NAME: [0] * 2_001},
        {"a": {LONG_NAME: 0}},
        {"a": [[]] * 5_000_000},
        [[0] * 1_000] * 1_000,
        {"a" * MAX_KEY_CHARACTERS: [0] * 9_998 + ["\0"]},
    ],
    ids=["long key", "long inner key", "empty lists", "numbers", "last value"],
)
def test_checking_json_builds_no_path_but_that_of_the_error(value: Any) -> None:
    assert peak_bytes(lambda: check_json(value, "parameters")) < MEBIBYTE // 2


@pytest.mark.parametrize("manifest", [TABLE, OPEN])
def test_columns_are_counted_before_they_become_records(manifest: Manifest) -> None:
    too_many = dict.fromkeys(COLUMNS, [1.0] * (MAX_ROWS + 1))
    assert peak_bytes(lambda: parse_rows(manifest, too_many, field="inputs")) < MEBIBYTE


@pytest.mark.parametrize(
    "raw",
    [
        [{LONG_NAME: 1}],
        {LONG_NAME: [1], "b": [1, 2]},
        {"b": [1], LONG_NAME: [1, 2]},
        {LONG_NAME: 1},
        [[1] * 99],
    ],
)
def test_errors_of_rows_repeat_little_of_what_was_sent(raw: Any) -> None:
    assert peak_bytes(lambda: parse_rows(TABLE, raw, field="inputs")) < 2 * MEBIBYTE


def test_a_long_message_of_msgspec_keeps_its_path() -> None:
    violation = parse_message(f"Invalid enum value '{LONG_NAME}' - at `$.inputs[0].datatype`")
    assert violation.path == ("inputs", "0", "datatype")
    assert len(violation.rule) < 2_000
