"""Runs a batch so that an input on which the model fails does not fail the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from slipway_core.engines.messages import plain_value
from slipway_core.errors import PredictionFailed
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.models.model import Model

log = structlog.get_logger("slipway.engine")

MAX_MESSAGE_CHARACTERS = 500

_json = msgspec.json.Encoder(enc_hook=plain_value)


def run_isolated(model: Model, items: Sequence[Item]) -> list[Outcome]:
    """Return one Outcome for each item, in order, whatever the model raises.

    When the model raises for several items, each half is run again. One bad item among `n` costs
    about `2 log2(n)` more calls, and only that item fails.
    """
    errors: list[Exception] = []
    outcomes = _run_or_bisect(model, items, errors)
    if errors:
        # One line for a batch: a job full of bad inputs must not become a log full of tracebacks.
        log.error(
            "the model failed on inputs",
            code=PredictionFailed.__name__,
            failed=len(errors),
            exc_info=errors[0],
        )
    return outcomes


def _run_or_bisect(model: Model, items: Sequence[Item], errors: list[Exception]) -> list[Outcome]:
    try:
        outcomes = model.run(items)
        if len(outcomes) != len(items):
            raise RuntimeError(f"the model gave {len(outcomes)} outputs for {len(items)} inputs")
    except Exception as error:
        if len(items) == 1:
            errors.append(error)
            return [_failure(f"the model raised {type(error).__name__} for this input: {error}")]
        middle = len(items) // 2
        return _run_or_bisect(model, items[:middle], errors) + _run_or_bisect(
            model, items[middle:], errors
        )
    return [_with_plain_values(outcome) for outcome in outcomes]


def _with_plain_values(outcome: Outcome) -> Outcome:
    """Return the outcome with JSON values only, or a failure when one has no JSON form."""
    if not outcome.prediction:
        return outcome
    try:
        # JSON has no NaN and no infinity: msgspec writes them as null, both for the caller and for
        # PostgreSQL.
        plain = msgspec.json.decode(_json.encode(outcome.prediction), type=dict[str, Any])
    except (NotImplementedError, TypeError, ValueError, OverflowError) as error:
        return _failure(f"the model's prediction cannot be written as JSON: {error}")
    return msgspec.structs.replace(outcome, prediction=plain)


def _failure(message: str) -> Outcome:
    return Outcome(failure=ItemFailure(PredictionFailed.__name__, message[:MAX_MESSAGE_CHARACTERS]))
