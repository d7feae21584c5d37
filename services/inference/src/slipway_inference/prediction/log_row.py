"""A prediction as a row of the prediction log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from slipway_core.inputs.cost import count_values
from slipway_core.inputs.items import Item, Outcome
from slipway_core.inputs.stored_form import to_stored
from slipway_core.settings import PayloadLogging
from slipway_core.store.records import PredictionRecord
from slipway_inference.prediction.request import Answer

ROW_BYTES = 1000
"""Memory of a row besides its input and its prediction."""
MAX_PAYLOAD_BYTES = 2 * 1024 * 1024
"""Memory of an input, or of a prediction, beyond which a row holds only its size: rows of tensors
would fill the log, and take long to write and to read.
"""
OMITTED = "omitted_bytes"
VALUE_BYTES = 32
"""Memory of a number in a list."""
OBJECT_BYTES_PER_JSON_BYTE = 4
"""Memory of a prediction's objects for each byte of their JSON."""


def make_row(
    answer: Answer,
    items: Sequence[Item],
    status: str,
    keep: PayloadLogging,
    response_bytes: int = 0,
) -> tuple[PredictionRecord, int]:
    """Return the row of a finished prediction, and about how much memory it holds, with what it
    shares with the inputs and the response of so many bytes.

    `keep` says which payloads the row holds; the answer of a failed one has no outcomes.
    """
    outcomes, manifest = answer.outcomes, answer.manifest
    single = outcomes[0] if keep == "all" and len(outcomes) == 1 else None
    stored_input, input_bytes = _stored_input(items) if keep != "none" else (None, 0)
    prediction, prediction_bytes = (
        _stored_prediction(outcomes, response_bytes) if keep == "all" and outcomes else (None, 0)
    )
    row = PredictionRecord(
        id=answer.id,
        created_at=datetime.now(UTC),
        request_id=answer.context.request_id,
        model=manifest.name,
        version=manifest.version,
        model_digest=manifest.digest,
        modality=answer.modality,
        status=status,
        input=stored_input,
        prediction=prediction,
        embedding=single.embedding if single else b"",
        latency_ms=answer.context.elapsed_seconds * 1000,
        tokens=sum(outcome.tokens for outcome in outcomes),
    )
    return row, ROW_BYTES + len(row.embedding) + input_bytes + prediction_bytes


def _stored_input(items: Sequence[Item]) -> tuple[Any, int]:
    """Return one input as it is, several as a list, and the memory that it holds. Of an image only
    the size is kept: images would fill the log.
    """
    size = sum(map(_item_bytes, items))
    if size > MAX_PAYLOAD_BYTES:
        return {OMITTED: size}, ROW_BYTES
    stored = [
        {"image_bytes": len(item.value)} if isinstance(item.value, bytes) else to_stored(item)
        for item in items
    ]
    is_single = len(stored) == 1 and items[0].modality != "tabular"
    return (stored[0] if is_single else stored), size


def _stored_prediction(
    outcomes: Sequence[Outcome], response_bytes: int
) -> tuple[dict[str, Any], int]:
    """Return the JSON part of the prediction, and the memory that it holds. The vector of a single
    one has its own column; those of several are not kept.
    """
    size = 0 if outcomes[0].embedding else OBJECT_BYTES_PER_JSON_BYTE * response_bytes
    if size > MAX_PAYLOAD_BYTES:
        return {OMITTED: size}, ROW_BYTES
    if len(outcomes) == 1:
        return outcomes[0].prediction, size
    return {"rows": [outcome.prediction for outcome in outcomes]}, size


def _item_bytes(item: Item) -> int:
    if isinstance(item.value, str):
        return sys.getsizeof(item.value)
    return 0 if isinstance(item.value, bytes) else VALUE_BYTES * count_values(item.value)
