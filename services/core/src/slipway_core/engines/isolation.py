"""Runs a batch so that an input on which the model fails takes no other input down with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from slipway_core.engines import messages
from slipway_core.errors import PredictionFailed
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.models.model import Model

log = structlog.get_logger("slipway.engine")

LONGEST_MESSAGE = 500

_json = msgspec.json.Encoder(enc_hook=messages.plain_value)


def run_isolated(model: Model, items: Sequence[Item]) -> list[Outcome]:
    """One Outcome for each item, in order, whatever the model does.

    When the model raises for several inputs together, each half is tried again, so that `n` inputs
    with one bad among them cost about `2 log2(n)` more calls and only the bad one fails.
    """
    errors: list[Exception] = []
    outcomes = _halve_until_it_runs(model, items, errors)
    if errors:
        # One line for a batch: a job full of bad inputs must not become a log full of tracebacks.
        log.error(
            "the model failed on inputs",
            code=PredictionFailed.__name__,
            failed=len(errors),
            exc_info=errors[0],
        )
    return outcomes


def _halve_until_it_runs(
    model: Model, items: Sequence[Item], errors: list[Exception]
) -> list[Outcome]:
    try:
        outcomes = model.run(items)
        if len(outcomes) != len(items):
            raise RuntimeError(f"the model gave {len(outcomes)} outputs for {len(items)} inputs")
    except Exception as error:
        if len(items) == 1:
            errors.append(error)
            return [_failed(f"the model raised {type(error).__name__} for this input: {error}")]
        middle = len(items) // 2
        return _halve_until_it_runs(model, items[:middle], errors) + _halve_until_it_runs(
            model, items[middle:], errors
        )
    return [_carried(outcome) for outcome in outcomes]


def _carried(outcome: Outcome) -> Outcome:
    """The outcome with plain values only, or its failure when it holds something that JSON cannot
    hold.
    """
    if not outcome.prediction:
        return outcome
    try:
        # JSON has no NaN and no infinity: msgspec writes them as null, for the caller and for
        # PostgreSQL alike.
        plain = msgspec.json.decode(_json.encode(outcome.prediction), type=dict[str, Any])
    except (NotImplementedError, TypeError, ValueError, OverflowError) as error:
        return _failed(f"the model's prediction cannot be written as JSON: {error}")
    return msgspec.structs.replace(outcome, prediction=plain)


def _failed(message: str) -> Outcome:
    return Outcome(failure=ItemFailure(PredictionFailed.__name__, message[:LONGEST_MESSAGE]))
