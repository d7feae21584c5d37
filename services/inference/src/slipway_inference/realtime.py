"""Answers one realtime request: checked inputs in, outcomes out, counted and logged.

The routes of all protocols come through `predict`, so that limits, metrics and the log are the same
for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import Request

from slipway_core import telemetry
from slipway_core.errors import (
    DeadlineExceeded,
    EngineCrashed,
    FieldError,
    InvalidInput,
    PayloadTooLarge,
    PredictionFailed,
    SlipwayError,
)
from slipway_core.identifiers import uuid7
from slipway_core.runtime.inputs import estimate_tokens, to_stored
from slipway_core.runtime.protocol import Item, ItemFailure, Outcome
from slipway_core.store.records import PredictionRecord
from slipway_inference.disconnect import while_connected
from slipway_inference.request_context import RequestContext, context_of
from slipway_inference.service import Service

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_TIMEOUT_HEADER = TIMEOUT_HEADER.lower().encode()
_FAILURES: dict[str, type[SlipwayError]] = {
    kind.__name__: kind for kind in (InvalidInput, PredictionFailed, EngineCrashed)
}


class Answer(msgspec.Struct, frozen=True):
    """The outcomes of a request, all of them predictions, and the id of its row in the log."""

    id: UUID
    outcomes: list[Outcome]


async def predict(
    service: Service, request: Request, modality: str, items: Sequence[Item], field: str
) -> Answer:
    """Compute `items` before the request's deadline, dropping them when the client goes away.

    `field` is what messages call the input. Raises QueueFull, DeadlineExceeded, PayloadTooLarge,
    ModelNotReady, Draining, ClientDisconnect, or what the model says of the first refused input.
    """
    context = context_of(request.scope)
    check_count(service, items, field)
    remaining = read_timeout(service, context) - context.elapsed_seconds
    manifest = service.manifest
    costs = [estimate_tokens(manifest, item) for item in items]
    work = service.batcher.submit(items, costs, timeout_seconds=max(remaining, 0.001))
    identifier = uuid7()
    try:
        outcomes = await while_connected(request.scope, work)
        _raise_first_failure(outcomes, field)
    except (InvalidInput, PredictionFailed, EngineCrashed, DeadlineExceeded) as error:
        # These reached the model. Refusals such as QueueFull do not get rows: a flood of them
        # would push the predictions out of the log.
        _log(service, context, identifier, modality, items, [], error.code)
        raise
    _log(service, context, identifier, modality, items, outcomes, "ok")
    telemetry.PREDICTION_LATENCY.labels(modality).observe(context.elapsed_seconds)
    return Answer(identifier, outcomes)


def check_count(service: Service, inputs: Sequence[object], field: str) -> None:
    """Raises PayloadTooLarge for more inputs than one realtime request may have."""
    most = service.settings.max_items_per_request
    if len(inputs) > most:
        raise PayloadTooLarge(
            f"`{field}` has {len(inputs)} inputs; send at most {most}, or a batch"
        )


def read_timeout(service: Service, context: RequestContext) -> float:
    """The request's deadline in seconds after its arrival; raises InvalidInput."""
    header = context.header(_TIMEOUT_HEADER)
    if header is None:
        return service.settings.request_timeout_seconds
    longest = int(service.settings.max_request_timeout_seconds * 1000)
    if not (header.isascii() and header.isdigit() and len(header) < 10 and int(header) > 0):
        raise InvalidInput.at(TIMEOUT_HEADER, f"must be milliseconds from 1 to {longest}")
    if int(header) > longest:
        raise InvalidInput.at(TIMEOUT_HEADER, f"must be at most {longest} milliseconds")
    return int(header) / 1000


def _raise_first_failure(outcomes: Sequence[Outcome], field: str) -> None:
    for index, outcome in enumerate(outcomes):
        if outcome.failure is not None:
            place = f"{field}.{index}" if len(outcomes) > 1 else field
            raise _error_of(outcome.failure, place)


def _error_of(failure: ItemFailure, field: str) -> SlipwayError:
    kind = _FAILURES.get(failure.code, PredictionFailed)
    return kind(failure.message, errors=(FieldError(field, failure.message),))


def _log(
    service: Service,
    context: RequestContext,
    identifier: UUID,
    modality: str,
    items: Sequence[Item],
    outcomes: Sequence[Outcome],
    status: str,
) -> None:
    writer = service.prediction_log
    if writer is None:
        return
    keeps = service.settings.payload_logging
    stored = _stored_input(items) if keeps != "none" else None
    alone = outcomes[0] if keeps == "all" and len(outcomes) == 1 else None
    manifest = service.manifest
    row = PredictionRecord(
        id=identifier,
        created_at=datetime.now(UTC),
        request_id=context.request_id,
        model=manifest.name,
        version=manifest.version,
        model_digest=manifest.digest,
        modality=modality,
        status=status,
        input=stored,
        prediction=_stored_prediction(outcomes) if keeps == "all" and outcomes else None,
        embedding=alone.embedding if alone else b"",
        latency_ms=context.elapsed_seconds * 1000,
        tokens=sum(outcome.tokens for outcome in outcomes),
    )
    writer.offer(row, _size_of(row))


def _stored_input(items: Sequence[Item]) -> Any:
    """One input as it is, several as a list; a picture only as its size, it would fill the log."""
    stored = [
        {"image_bytes": len(item.value)} if isinstance(item.value, bytes) else to_stored(item)
        for item in items
    ]
    return stored[0] if len(stored) == 1 and items[0].modality != "tabular" else stored


def _stored_prediction(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The JSON part of the prediction; the vector of a single one has a column of its own."""
    if len(outcomes) == 1:
        return outcomes[0].prediction
    return {"rows": [outcome.prediction for outcome in outcomes]}


def _size_of(row: PredictionRecord) -> int:
    """About what a row takes in memory: texts count, the rest is a few hundred bytes."""
    texts = len(row.input) if isinstance(row.input, str) else 100 * row.tokens
    return 1000 + texts + len(row.embedding)
