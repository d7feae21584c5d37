"""Validates rows of numbers against the inputs that the manifest declares.

Rows come as lists, records or named columns. A parsed row is a nested list of numbers when the
model has one input, and an object {input name: nested list} when it has several. The nested list
has the shape of the tensor without its batch dimension. A python model that declares no inputs
takes any list or object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from slipway_core.errors import InvalidInput
from slipway_core.inputs.json_values import MAX_VALUES, check_json, json_type
from slipway_core.package.datatypes import INTEGER_RANGES, MAX_FLOATS, Datatype
from slipway_core.package.manifest import Manifest, TensorSpec

MAX_ROWS = 100_000
MAX_SHOWN_NAME_CHARACTERS = 128
"""How much of a name from a client an error repeats."""
MAX_NUMBERS_PER_ROW = 4_000_000  # in one tensor of the row


def parse_row(manifest: Manifest, raw: Any, field: str) -> Any:
    """Parse one row, a list of numbers or a record.

    Raises InvalidInput that names the invalid number.
    """
    specs = manifest.inputs
    if not specs:
        return _parse_undeclared_row(raw, field)
    names = [spec.name for spec in specs]
    if len(specs) == 1:
        (spec,) = specs
        keyed = isinstance(raw, dict) and list(raw) == names and spec.columns != names
        return parse_tensor_row(spec, raw[spec.name] if keyed else raw, field)
    if not isinstance(raw, dict):
        raise InvalidInput.at(field, f"must be an object with the inputs {', '.join(names)}")
    _check_keys(raw, names, field, "an input")
    return {
        spec.name: parse_tensor_row(spec, raw[spec.name], f"{field}.{spec.name}") for spec in specs
    }


def parse_tensor_row(spec: TensorSpec, raw: Any, field: str) -> Any:
    """Parse the part of a row for one tensor, of the shape `spec.shape[1:]`.

    Raises InvalidInput that names the invalid number.
    """
    if isinstance(raw, dict):
        if not spec.columns:
            raise InvalidInput.at(field, "must be a list: this model's columns have no names")
        _check_keys(raw, spec.columns, field, "a column")
        values = [raw[name] for name in spec.columns]
        return _parse_numbers(values, spec.datatype, field, spec.columns)
    value, shape = _parse_nested(raw, spec.shape[1:], spec.datatype, field)
    if math.prod(shape) > MAX_NUMBERS_PER_ROW:
        raise InvalidInput.at(field, f"must hold at most {MAX_NUMBERS_PER_ROW} numbers")
    return value


def count_rows(raw: Any) -> int:
    """Return the number of rows of a table in any form, before any of them is parsed; 0 for what is
    no table.
    """
    if isinstance(raw, dict):
        raw = next(iter(raw.values()), None)
    return len(raw) if isinstance(raw, list) else 0


def parse_table(manifest: Manifest, raw: Any, field: str) -> list[Any]:
    """Parse a list of rows or records, or an object of columns of equal length."""
    if not isinstance(raw, list | dict):
        raise InvalidInput.at(field, "must be a list of rows, or an object of named columns")
    if isinstance(raw, dict):
        _check_columns(manifest, raw, field)
    count = count_rows(raw)
    if not 1 <= count <= MAX_ROWS:
        raise InvalidInput.at(field, f"must hold 1 to {MAX_ROWS} rows, not {count}")
    rows = _transpose(raw) if isinstance(raw, dict) else raw
    if any(len(spec.shape) > 1 for spec in manifest.inputs) and _is_scalar(rows[0]):
        raise InvalidInput.at(field, "must be a list of rows, even for a single row: [[...]]")
    return [parse_row(manifest, row, f"{field}.{index}") for index, row in enumerate(rows)]


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _check_columns(manifest: Manifest, columns: dict[str, Any], field: str) -> None:
    """Check named columns before they are turned into records, which multiplies their names."""
    if not columns:
        raise InvalidInput.at(field, "must name at least one column")
    if not manifest.inputs and len(columns) > MAX_VALUES:
        raise InvalidInput.at(field, f"must name at most {MAX_VALUES} columns")
    first = next(iter(columns))
    for name, values in columns.items():
        place = f"{field}.{name[:MAX_SHOWN_NAME_CHARACTERS]}"
        if not isinstance(values, list):
            raise InvalidInput.at(place, "must be a list with one value for each row")
        if len(values) != len(columns[first]):
            shown = first[:MAX_SHOWN_NAME_CHARACTERS]
            raise InvalidInput.at(
                place, f"has {len(values)} values, but `{shown}` has {len(columns[first])}"
            )


def _transpose(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Turn named columns into records."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _parse_undeclared_row(raw: Any, field: str) -> Any:
    if _is_scalar(raw):
        raise InvalidInput.at(field, f"must be a list or an object, not {json_type(raw)}")
    check_json(raw, field)
    return raw


def _check_keys(record: dict[str, Any], names: Sequence[str], field: str, kind: str) -> None:
    known = frozenset(names)
    for key in record:
        if key not in known:
            place = f"{field}.{key[:MAX_SHOWN_NAME_CHARACTERS]}"
            raise InvalidInput.at(place, f"is not {kind}: they are {', '.join(names)}")
    for name in names:
        if name not in record:
            raise InvalidInput.at(f"{field}.{name}", "is missing")


def _parse_nested(
    raw: Any, sizes: list[int], datatype: Datatype, field: str
) -> tuple[Any, tuple[int, ...]]:
    """Return the checked value and its actual shape; -1 in `sizes` allows any length."""
    if not sizes:
        return _parse_number(raw, datatype, field), ()
    if not isinstance(raw, list):
        raise InvalidInput.at(field, f"must be a list of {_count(sizes[0])}, not {json_type(raw)}")
    if len(raw) != sizes[0] and (sizes[0] != -1 or not raw):
        raise InvalidInput.at(field, f"must have {_count(sizes[0])}, not {len(raw)}")
    if len(sizes) == 1:
        return _parse_numbers(raw, datatype, field), (len(raw),)
    values: list[Any] = []
    shapes: list[tuple[int, ...]] = []
    for index, part in enumerate(raw):
        value, shape = _parse_nested(part, sizes[1:], datatype, f"{field}.{index}")
        if shapes and shape != shapes[0]:
            raise InvalidInput.at(f"{field}.{index}", "must have the same shape as the first list")
        values.append(value)
        shapes.append(shape)
    return values, (len(raw), *shapes[0])


def _count(size: int) -> str:
    if size == -1:
        return "at least one value"
    return "1 value" if size == 1 else f"{size} values"


def _parse_numbers(
    raw: list[Any], datatype: Datatype, field: str, names: Sequence[str] = ()
) -> list[Any]:
    """Return a list of numbers as `_parse_number` does. They are checked together; which one is
    wrong, and its place, are looked for only when one is. The place is its name, or its index.
    """
    types = set(map(type, raw))
    if datatype in INTEGER_RANGES and types == {int}:
        low, high = INTEGER_RANGES[datatype]
        if low <= min(raw) and max(raw) <= high:
            return list(raw)
    elif datatype in MAX_FLOATS and types and types <= {int, float}:
        high_float = MAX_FLOATS[datatype]
        with suppress(OverflowError):  # of an integer that no float can hold
            values = list(map(float, raw))
            if all(map(math.isfinite, values)) and max(map(abs, values)) <= high_float:
                return values
    return [
        _parse_number(number, datatype, f"{field}.{names[index] if names else index}")
        for index, number in enumerate(raw)
    ]


def _parse_number(raw: Any, datatype: Datatype, field: str) -> Any:
    """Return the number as the datatype's Python type: int, float or bool."""
    if datatype == "BOOL":
        if raw is True or raw is False or (type(raw) is int and raw in (0, 1)):
            return bool(raw)
        raise InvalidInput.at(field, "must be true, false, 1 or 0")
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise InvalidInput.at(field, f"must be a number, not {json_type(raw)}")
    if datatype in INTEGER_RANGES:
        return _parse_integer(raw, datatype, field)
    largest = MAX_FLOATS.get(datatype, MAX_FLOATS["FP64"])
    if not -largest <= raw <= largest:  # NaN compares false
        raise InvalidInput.at(field, f"must be a finite number that {datatype} can hold")
    return float(raw)


def _parse_integer(raw: float, datatype: Datatype, field: str) -> int:
    low, high = INTEGER_RANGES[datatype]
    if not low <= raw <= high or raw != int(raw):
        raise InvalidInput.at(field, f"must be a whole number from {low} to {high} ({datatype})")
    return int(raw)
