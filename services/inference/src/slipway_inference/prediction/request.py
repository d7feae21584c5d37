"""The request of a prediction and its answer, independent of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from starlette.responses import Response

from slipway_core.errors import (
    EngineCrashed,
    FieldError,
    InvalidInput,
    PayloadTooLarge,
    PredictionFailed,
    SlipwayError,
)
from slipway_core.inputs.cost import estimate_tokens
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.package.manifest import Manifest
from slipway_inference.http.context import RequestContext
from slipway_inference.http.openapi import parameter

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
MAX_TIMEOUT_DIGITS = 9
_FAILURES: dict[str, type[SlipwayError]] = {
    kind.__name__: kind for kind in (InvalidInput, PredictionFailed, EngineCrashed)
}


class Answer(msgspec.Struct, eq=False):
    """The data of a response. `outcomes` has one for each item, and no failure when the response is
    rendered.
    """

    id: UUID
    manifest: Manifest
    modality: str
    context: RequestContext
    outcomes: Sequence[Outcome] = ()


class PredictionRequest(msgspec.Struct, frozen=True):
    """Validated inputs and their estimated tokens. `field` is their path in the request, for
    errors; `render` makes the response; `size` is that of the body in bytes.
    """

    items: list[Item]
    costs: list[int]
    field: str
    render: Callable[[Answer], Response]
    size: int

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        items: list[Item],
        field: str,
        render: Callable[[Answer], Response],
        *,
        size: int,
    ) -> PredictionRequest:
        """Return the request of items for a model."""
        costs = [estimate_tokens(manifest, item) for item in items]
        return cls(items, costs, field, render, size)


def check_count(count: int, max_items: int, field: str) -> None:
    """Raise PayloadTooLarge for more inputs than one realtime request may have."""
    if count > max_items:
        raise PayloadTooLarge(f"`{field}` has {count} inputs; send at most {max_items}, or a batch")


def read_timeout(context: RequestContext, *, default_seconds: float, max_seconds: float) -> float:
    """Return the request's deadline in seconds after its arrival. Raises InvalidInput."""
    header = context.header(TIMEOUT_HEADER)
    if header is None:
        return default_seconds
    max_milliseconds = _milliseconds(max_seconds)
    digits = header.isascii() and header.isdigit() and len(header) <= MAX_TIMEOUT_DIGITS
    if not digits or int(header) == 0:
        raise InvalidInput.at(TIMEOUT_HEADER, f"must be milliseconds from 1 to {max_milliseconds}")
    if int(header) > max_milliseconds:
        raise InvalidInput.at(TIMEOUT_HEADER, f"must be at most {max_milliseconds} milliseconds")
    return int(header) / 1000


def timeout_parameter(max_seconds: float) -> dict[str, Any]:
    """Document the header that `read_timeout` reads."""
    schema = {"type": "integer", "minimum": 1, "maximum": _milliseconds(max_seconds)}
    description = "Deadline of this request in milliseconds."
    return parameter(TIMEOUT_HEADER, "header", schema, description)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def raise_first_failure(outcomes: Sequence[Outcome], field: str) -> None:
    """Raise the error of the first item without a prediction, naming its place in the request."""
    for index, outcome in enumerate(outcomes):
        if outcome.failure is not None:
            place = f"{field}.{index}" if len(outcomes) > 1 else field
            raise _error(outcome.failure, place)


def _error(failure: ItemFailure, field: str) -> SlipwayError:
    kind = _FAILURES.get(failure.code, PredictionFailed)
    return kind(failure.message, errors=(FieldError(field, failure.message),))
