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
VALUE_BYTES = 32
"""Memory of a number in a list."""
OBJECT_BYTES_PER_JSON_BYTE = 4
"""Memory of a prediction's objects for each byte of their JSON."""


def make_row(
    answer: Answer, items: Sequence[Item], status: str, keep: PayloadLogging
) -> PredictionRecord:
    """Return the row of a finished prediction. `keep` says which payloads it holds; the answer of a
    failed one has no outcomes.
    """
    outcomes, manifest = answer.outcomes, answer.manifest
    single = outcomes[0] if keep == "all" and len(outcomes) == 1 else None
    return PredictionRecord(
        id=answer.id,
        created_at=datetime.now(UTC),
        request_id=answer.context.request_id,
        model=manifest.name,
        version=manifest.version,
        model_digest=manifest.digest,
        modality=answer.modality,
        status=status,
        input=_stored_input(items) if keep != "none" else None,
        prediction=_stored_prediction(outcomes) if keep == "all" and outcomes else None,
        embedding=single.embedding if single else b"",
        latency_ms=answer.context.elapsed_seconds * 1000,
        tokens=sum(outcome.tokens for outcome in outcomes),
    )


def row_bytes(row: PredictionRecord, items: Sequence[Item], response_bytes: int) -> int:
    """Estimate the memory that a row holds, with what it shares with inputs and response."""
    size = ROW_BYTES + len(row.embedding)
    if row.input is not None:
        size += sum(map(_item_bytes, items))
    if row.prediction:
        size += OBJECT_BYTES_PER_JSON_BYTE * response_bytes
    return size


def _stored_input(items: Sequence[Item]) -> Any:
    """Return one input as it is, several as a list. Of an image only the size is kept: images
    would fill the log.
    """
    stored = [
        {"image_bytes": len(item.value)} if isinstance(item.value, bytes) else to_stored(item)
        for item in items
    ]
    return stored[0] if len(stored) == 1 and items[0].modality != "tabular" else stored


def _stored_prediction(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the JSON part of the prediction; the vector of a single one has its own column."""
    if len(outcomes) == 1:
        return outcomes[0].prediction
    return {"rows": [outcome.prediction for outcome in outcomes]}


def _item_bytes(item: Item) -> int:
    if isinstance(item.value, str):
        return sys.getsizeof(item.value)
    return 0 if isinstance(item.value, bytes) else VALUE_BYTES * count_values(item.value)
