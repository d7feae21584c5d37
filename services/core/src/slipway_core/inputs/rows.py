"""Validates rows of numbers against the inputs that the manifest declares.

Rows come as lists, records or named columns. A parsed row is a nested list of numbers when the
model has one input, and an object {input name: nested list} when it has several. The nested list
has the shape of the tensor without its batch dimension. A python model that declares no inputs
takes any list or object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from slipway_core.errors import InvalidInput
from slipway_core.inputs.json_values import check_json, json_type
from slipway_core.package.datatypes import INTEGER_RANGES, MAX_FLOATS, Datatype
from slipway_core.package.manifest import Manifest, TensorSpec

MAX_ROWS = 100_000
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
        return [_parse_number(raw[name], spec.datatype, f"{field}.{name}") for name in spec.columns]
    value, shape = _parse_nested(raw, spec.shape[1:], spec.datatype, field)
    if math.prod(shape) > MAX_NUMBERS_PER_ROW:
        raise InvalidInput.at(field, f"must hold at most {MAX_NUMBERS_PER_ROW} numbers")
    return value


def parse_table(manifest: Manifest, raw: Any, field: str) -> list[Any]:
    """Parse a list of rows or records, or an object of columns of equal length."""
    rows = _transpose(raw, field) if isinstance(raw, dict) else raw
    if not isinstance(rows, list):
        raise InvalidInput.at(field, "must be a list of rows, or an object of named columns")
    if not 1 <= len(rows) <= MAX_ROWS:
        raise InvalidInput.at(field, f"must hold 1 to {MAX_ROWS} rows, not {len(rows)}")
    if any(len(spec.shape) > 1 for spec in manifest.inputs) and _is_scalar(rows[0]):
        raise InvalidInput.at(field, "must be a list of rows, even for a single row: [[...]]")
    return [parse_row(manifest, row, f"{field}.{index}") for index, row in enumerate(rows)]


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _transpose(columns: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """Turn named columns into records."""
    if not columns:
        raise InvalidInput.at(field, "must name at least one column")
    first = next(iter(columns))
    for name, values in columns.items():
        if not isinstance(values, list):
            raise InvalidInput.at(f"{field}.{name}", "must be a list with one value for each row")
        if len(values) != len(columns[first]):
            raise InvalidInput.at(
                f"{field}.{name}",
                f"has {len(values)} values, but `{first}` has {len(columns[first])}",
            )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _parse_undeclared_row(raw: Any, field: str) -> Any:
    if _is_scalar(raw):
        raise InvalidInput.at(field, f"must be a list or an object, not {json_type(raw)}")
    check_json(raw, field)
    return raw


def _check_keys(record: dict[str, Any], names: Iterable[str], field: str, kind: str) -> None:
    known = list(names)
    for key in record:
        if key not in known:
            raise InvalidInput.at(f"{field}.{key}", f"is not {kind}: they are {', '.join(known)}")
    for name in known:
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
        return [_parse_number(number, datatype, f"{field}.{i}") for i, number in enumerate(raw)], (
            len(raw),
        )
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
