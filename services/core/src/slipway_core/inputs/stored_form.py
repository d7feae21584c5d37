"""Converts items to JSON values for the store, and back."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from slipway_core.inputs.items import Item


def to_stored(item: Item) -> Any:
    """Return the input as a JSON value; images become base64."""
    if isinstance(item.value, bytes):
        return base64.b64encode(item.value).decode("ascii")
    return item.plain_value()


def from_stored(
    modality: str, stored: Any, labels: Sequence[str] = (), parameters: dict[str, Any] | None = None
) -> Item:
    """Return the Item of a value that `to_stored` returned, without checking it again."""
    value = base64.b64decode(stored) if modality == "image" else stored
    return Item(modality, value, tuple(labels), parameters or {})
