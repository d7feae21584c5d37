"""Realtime predictions: checked inputs in, the answer out, limited, counted and logged.

All of them come through here, so that limits, metrics and the log are the same for all: those that
a task awaits, and those of `direct`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import ClientDisconnect

from slipway_core.errors import (
    DeadlineExceeded,
    EngineCrashed,
    FieldError,
    InternalError,
    InvalidInput,
    PayloadTooLarge,
    PredictionFailed,
    SlipwayError,
)
from slipway_core.identifiers import uuid7
from slipway_core.inputs.parsing import count_values, estimate_tokens, to_stored
from slipway_core.models.model import Item, ItemFailure, Outcome
from slipway_core.observability import metrics
from slipway_core.store.records import PredictionRecord
from slipway_inference.http.context import CLIENT_DISCONNECTED, RequestContext
from slipway_inference.http.json import dump_json, prediction_value
from slipway_inference.serving.service import Service

ROW_BYTES = 1000
"""What a row of the prediction log takes in memory beside its input and its prediction."""
VALUE_BYTES = 32
"""What a number in a list takes in memory."""
OBJECT_BYTES_PER_JSON_BYTE = 4
TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_TIMEOUT_HEADER = TIMEOUT_HEADER.lower().encode()
_FAILURES: dict[str, type[SlipwayError]] = {
    kind.__name__: kind for kind in (InvalidInput, PredictionFailed, EngineCrashed)
}


class Asked(msgspec.Struct, frozen=True):
    """Checked inputs, the field that they came in, and the form of the answer: whether it is a
    list in the JSON of our own routes, or else what makes its body.
    """

    items: list[Item]
    field: str
    several: bool = False
    render: Render | None = None


class Prediction(msgspec.Struct, frozen=True, eq=False):
    """A request whose inputs are queued or computed. `outcomes` are dropped by cancelling them."""

    service: Service
    context: RequestContext
    modality: str
    asked: Asked
    id: UUID
    outcomes: asyncio.Future[list[Outcome]]

    def conclude(self) -> bytes:
        """The body of the answer, once the outcomes are there; the request is logged.

        Raises DeadlineExceeded, Draining, what the model says of the first refused input, or what
        a foreign protocol has no form for.
        """
        try:
            outcomes = self.outcomes.result()
            _raise_first_failure(outcomes, self.asked.field)
            answer = (self.asked.render or _render)(self, outcomes)
        except (InvalidInput, PredictionFailed, EngineCrashed, DeadlineExceeded) as error:
            # These reached the model. Refusals such as QueueFull do not get rows: a flood of them
            # would push the predictions out of the log.
            _log(self, [], error.code)
            raise
        _log(self, outcomes, "ok", len(answer))
        metrics.PREDICTION_LATENCY.labels(self.modality).observe(self.context.elapsed_seconds)
        return answer


Render = Callable[[Prediction, Sequence[Outcome]], bytes]
"""Makes the body of an answer from the outcomes of a request, none of which is a failure."""


def begin(service: Service, context: RequestContext, modality: str, asked: Asked) -> Prediction:
    """Queue the inputs, to be computed before the request's deadline.

    Raises QueueFull, InvalidInput, PayloadTooLarge, ModelNotReady or Draining.
    """
    check_count(service, len(asked.items), asked.field)
    remaining = read_timeout(service, context) - context.elapsed_seconds
    manifest = service.manifest
    costs = [estimate_tokens(manifest, item) for item in asked.items]
    outcomes = service.batcher.submit(asked.items, costs, timeout_seconds=max(remaining, 0.001))
    return Prediction(service, context, modality, asked, uuid7(), outcomes)


def count_prediction(modality: str, error: BaseException | None = None) -> None:
    """Count a request by how it ended."""
    code = ""
    if isinstance(error, SlipwayError):
        code = error.code
    elif isinstance(error, ClientDisconnect):
        code = CLIENT_DISCONNECTED
    elif error is not None:
        code = InternalError.__name__
    metrics.PREDICTION_REQUESTS.labels(modality, "error" if code else "ok", code).inc()


def check_count(service: Service, count: int, field: str) -> None:
    """Raises PayloadTooLarge for more inputs than one realtime request may have."""
    most = service.settings.max_items_per_request
    if count > most:
        raise PayloadTooLarge(f"`{field}` has {count} inputs; send at most {most}, or a batch")


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


def _render(prediction: Prediction, outcomes: Sequence[Outcome]) -> bytes:
    manifest = prediction.service.manifest
    values = [prediction_value(one.prediction, one.embedding) for one in outcomes]
    content = {
        "id": str(prediction.id),
        "model": manifest.name,
        "version": manifest.version,
        "model_digest": manifest.digest,
        "modality": prediction.modality,
        "prediction": {"rows": values} if prediction.asked.several else values[0],
        "latency_ms": round(prediction.context.elapsed_seconds * 1000, 3),
    }
    return dump_json(content)


def _log(
    prediction: Prediction, outcomes: Sequence[Outcome], status: str, answer_bytes: int = 0
) -> None:
    service, context = prediction.service, prediction.context
    writer = service.prediction_log
    if writer is None:
        return
    keeps = service.settings.payload_logging
    stored = _stored_input(prediction.asked.items) if keeps != "none" else None
    alone = outcomes[0] if keeps == "all" and len(outcomes) == 1 else None
    manifest = service.manifest
    row = PredictionRecord(
        id=prediction.id,
        created_at=datetime.now(UTC),
        request_id=context.request_id,
        model=manifest.name,
        version=manifest.version,
        model_digest=manifest.digest,
        modality=prediction.modality,
        status=status,
        input=stored,
        prediction=_stored_prediction(outcomes) if keeps == "all" and outcomes else None,
        embedding=alone.embedding if alone else b"",
        latency_ms=context.elapsed_seconds * 1000,
        tokens=sum(outcome.tokens for outcome in outcomes),
    )
    writer.offer(row, _size_of(row, prediction.asked.items, answer_bytes))


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


def _size_of(row: PredictionRecord, items: Sequence[Item], answer_bytes: int) -> int:
    """About what a row takes in memory, with what it keeps of the inputs and of the answer."""
    size = ROW_BYTES + len(row.embedding)
    if row.input is not None:
        size += sum(map(_bytes_kept, items))
    if row.prediction:
        size += OBJECT_BYTES_PER_JSON_BYTE * answer_bytes
    return size


def _bytes_kept(item: Item) -> int:
    if isinstance(item.value, str):
        return sys.getsizeof(item.value)
    return 0 if isinstance(item.value, bytes) else VALUE_BYTES * count_values(item.value)
