"""Rows of numbers are parsed in each of their forms; errors name the number."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_core.errors import InvalidInput
from slipway_core.inputs.parsing import parse_input, parse_rows
from slipway_core.package.manifest import Manifest, TensorSpec

PEOPLE = Manifest(
    name="p",
    task="tensor",
    runtime="torchscript",
    inputs=[TensorSpec(name="x", shape=[-1, 2], columns=["age", "height"])],
)
TWO_INPUTS = Manifest(
    name="t",
    task="tensor",
    runtime="torchscript",
    inputs=[
        TensorSpec(name="user", datatype="INT64", shape=[-1, 2]),
        TensorSpec(name="seen", shape=[-1, -1, 3]),
    ],
)
OPEN = Manifest(name="o", task="python", runtime="python", modalities=["text", "tabular"])


def one_input(datatype: Any, shape: list[int]) -> Manifest:
    specs = [TensorSpec(name="x", datatype=datatype, shape=shape)]
    return Manifest(name="m", task="tensor", runtime="torchscript", inputs=specs)


def field_of(error: pytest.ExceptionInfo[InvalidInput]) -> str:
    return error.value.errors[0].field


@pytest.mark.parametrize(
    "raw",
    [
        [[30, 1.8], [40, 1.6]],
        [{"age": 30, "height": 1.8}, {"height": 1.6, "age": 40}],
        [[30, 1.8], {"age": 40, "height": 1.6}],
        {"age": [30, 40], "height": [1.8, 1.6]},
        {"x": [[30, 1.8], [40, 1.6]]},
    ],
)
def test_rows_may_be_lists_records_or_columns(raw: Any) -> None:
    assert [item.value for item in parse_rows(PEOPLE, raw, field="inputs")] == [
        [30.0, 1.8],
        [40.0, 1.6],
    ]


@pytest.mark.parametrize(
    ("raw", "field", "message"),
    [
        ([[1, 2], [1]], "inputs.1", "must have 2 values, not 1"),
        ([[1, 2, 3]], "inputs.0", "must have 2 values, not 3"),
        ([[1, "2"]], "inputs.0.1", "must be a number, not a text"),
        ([[1, None]], "inputs.0.1", "must be a number, not null"),
        ([[1, True]], "inputs.0.1", "must be a number, not a boolean"),
        ([[1, math.nan]], "inputs.0.1", "must be a finite number"),
        ([[1, -math.inf]], "inputs.0.1", "must be a finite number"),
        ([[1, 1e39]], "inputs.0.1", "must be a finite number that FP32 can hold"),
        ([[1, 10**400]], "inputs.0.1", "must be a finite number"),
        ([[1, [2]]], "inputs.0.1", "must be a number, not a list"),
        ([{"age": 1}], "inputs.0.height", "is missing"),
        (
            [{"age": 1, "height": 2, "weight": 3}],
            "inputs.0.weight",
            "is not a column: they are age",
        ),
        ([{}] * 3 + [{"age": "x", "height": 1}], "inputs.0.age", "is missing"),
        (
            [{"age": 1, "height": 1}] * 3 + [{"age": "x", "height": 1}],
            "inputs.3.age",
            "must be a number, not a text",
        ),
        ([1, 2], "inputs", "must be a list of rows, even for a single row"),
        ([], "inputs", "must hold 1 to"),
        ("x", "inputs", "must be a list of rows"),
        (None, "inputs", "must be a list of rows"),
        ({"age": [1, 2], "height": [1]}, "inputs.height", "has 1 values, but `age` has 2"),
        ({"age": 1, "height": 2}, "inputs.age", "must be a list with one value for each row"),
        ({"age": [1]}, "inputs.0.height", "is missing"),
        ({"age": [], "height": []}, "inputs", "must hold 1 to"),
        ({}, "inputs", "must name at least one column"),
        ([[1, 2], 3], "inputs.1", "must be a list of 2 values, not a number"),
    ],
)
def test_an_invalid_number_is_reported_with_its_field(raw: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        parse_rows(PEOPLE, raw, field="inputs")
    assert field_of(error) == field


@pytest.mark.parametrize(
    ("datatype", "good", "bad"),
    [
        ("UINT8", [0, 255, 3.0], [-1, 256, 1.5]),
        ("INT8", [-128, 127], [-129, 128]),
        ("INT64", [2**63 - 1, -(2**63)], [2**63, 1e30, math.nan, math.inf, 0.5]),
        ("FP16", [65504], [70000]),
        ("FP64", [1e300], [10**400]),
        ("BOOL", [True, False, 0, 1], [2, 0.5, "true", None]),
    ],
)
def test_numbers_must_fit_their_datatype(datatype: str, good: list[Any], bad: list[Any]) -> None:
    manifest = one_input(datatype, [-1, 1])
    for value in good:
        assert parse_input(manifest, "tabular", [value], field="input").value == [value]
    for value in bad:
        with pytest.raises(InvalidInput):
            parse_input(manifest, "tabular", [value], field="input")


def test_several_inputs_are_matched_by_name() -> None:
    row = {"user": [1, 2], "seen": [[1, 2, 3], [4, 5, 6]]}
    assert parse_input(TWO_INPUTS, "tabular", row, field="input").value == row
    for wrong, field in [
        ({"user": [1, 2]}, "input.seen"),
        ({**row, "other": 1}, "input.other"),
        ({**row, "seen": [[1, 2, 3], [4, 5]]}, "input.seen.1"),
        ({**row, "seen": []}, "input.seen"),
        ([1, 2], "input"),
    ]:
        with pytest.raises(InvalidInput) as error:
            parse_input(TWO_INPUTS, "tabular", wrong, field="input")
        assert field_of(error) == field


def test_a_row_of_one_number_needs_no_list() -> None:
    items = parse_rows(one_input("FP32", [-1]), [1, 2.5], field="inputs")
    assert [item.value for item in items] == [1.0, 2.5]


def test_ragged_values_within_a_row_are_rejected() -> None:
    with pytest.raises(InvalidInput, match="the same shape as the first list") as error:
        parse_input(one_input("FP32", [-1, 2, -1]), "tabular", [[1], [1, 2]], field="input")
    assert field_of(error) == "input.1"


def test_a_python_model_without_inputs_accepts_any_list_or_object() -> None:
    row = {"name": "Ada", "tags": ["x"], "age": None}
    assert parse_rows(OPEN, [row, [1, "a"]], field="inputs")[0].value == row
    for wrong in ([3], ["text"], [{"a": math.nan}], [{"a": "\0"}]):
        with pytest.raises(InvalidInput):
            parse_rows(OPEN, wrong, field="inputs")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_parsed_as_rows_or_rejected(raw: Any) -> None:
    for manifest in (PEOPLE, TWO_INPUTS, OPEN, one_input("INT8", [-1, 2, -1])):
        try:
            items = parse_rows(manifest, raw, field="inputs")
        except InvalidInput as refusal:
            fields = [error.field for error in refusal.errors]
        else:
            fields = ["inputs"]
            json.dumps([item.value for item in items], allow_nan=False)
        assert all(field.startswith("inputs") for field in fields)


@given(st.lists(st.tuples(st.integers(-999, 999), st.floats(-1e30, 1e30)), min_size=1, max_size=9))
def test_the_three_forms_of_rows_agree(rows: list[tuple[int, float]]) -> None:
    lists = [list(row) for row in rows]
    records = [{"height": height, "age": age} for age, height in rows]
    columns = {"age": [age for age, _ in rows], "height": [height for _, height in rows]}
    values = [
        [item.value for item in parse_rows(PEOPLE, raw, field="inputs")]
        for raw in (lists, records, columns)
    ]
    assert values[0] == values[1] == values[2] == lists
