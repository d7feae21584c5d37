"""Runs a batch so that an input on which the model fails does not fail the others.

A model may be hostile: whatever it raises or returns becomes an Outcome that a message can carry.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from slipway_core.engines.plain_outcomes import failed_prediction, plain_outcomes
from slipway_core.errors import PredictionFailed
from slipway_core.errors.foreign_errors import describe_error
from slipway_core.inputs.items import Item, Outcome
from slipway_core.models.model import Model

log = structlog.get_logger("slipway.engine")


def run_isolated(model: Model, items: Sequence[Item]) -> list[Outcome]:
    """Return one Outcome for each item, in order, whatever the model raises.

    When the model raises for several items, each half is run again. One bad item among `n` costs
    about `2 log2(n)` more calls, and only that item fails.
    """
    errors: list[BaseException] = []
    outcomes = plain_outcomes(_run_or_bisect(model, items, errors))
    if errors:
        _log(errors)
    return outcomes


def _run_or_bisect(
    model: Model, items: Sequence[Item], errors: list[BaseException]
) -> list[Outcome]:
    try:
        outcomes = list(model.run(items))
        if len(outcomes) != len(items):
            raise RuntimeError(f"the model gave {len(outcomes)} outputs for {len(items)} inputs")
        return outcomes
    # A model may call sys.exit() or raise KeyboardInterrupt, too: signals never do so here.
    except BaseException as error:
        if len(items) == 1:
            errors.append(error)
            return [failed_prediction(f"the model raised {describe_error(error)}")]
    middle = len(items) // 2
    return _run_or_bisect(model, items[:middle], errors) + _run_or_bisect(
        model, items[middle:], errors
    )


def _log(errors: Sequence[BaseException]) -> None:
    """Write one line for a batch: a job full of bad inputs must not fill the log."""
    failed = {"code": PredictionFailed.__name__, "failed": len(errors)}
    try:
        log.error("the model failed on inputs", **failed, exc_info=errors[0])
    except BaseException:  # the error has a traceback or a text that cannot be written
        log.error("the model failed on inputs", **failed, cause=describe_error(errors[0]))
