"""Kubernetes quantities: `250m` cores, `2Gi` bytes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

QUANTITY_PATTERN = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[munkMGTPE]|([eE][+-]?[0-9]+))?$"

_SCALES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(
        max_length=32,
        pattern=QUANTITY_PATTERN,
        json_schema_extra={"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN},
    ),
]
"""A quantity as text. An integer in YAML is converted to text."""


def parse_quantity(quantity: str) -> Decimal:
    """Return the number that a quantity stands for: cores, bytes or a count.

    Raises ValueError when the text is not a quantity.
    """
    match = re.fullmatch(r"([0-9.]+)(?:([eE][+-]?[0-9]+)|([A-Za-z]*))", quantity)
    if match is None or (match[3] or "") not in _SCALES:
        raise ValueError(f"{quantity!r} is not a quantity")
    try:
        return Decimal(match[1] + (match[2] or "")) * _SCALES[match[3] or ""]
    except ArithmeticError:
        raise ValueError(f"{quantity!r} is not a quantity") from None


def double_quantity(quantity: str) -> str:
    """Return twice the quantity, in the same unit if it is an integer of that unit."""
    match = re.fullmatch(r"([0-9]+)([A-Za-z]*)", quantity)
    if match:
        return f"{2 * int(match[1])}{match[2]}"
    return str(int(2 * parse_quantity(quantity)))
