"""An input on which a model fails does not fail the others in its batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_core.engines import frames, messages
from slipway_core.engines.isolation import run_isolated
from slipway_core.engines.messages import Done
from slipway_core.engines.plain_outcomes import MAX_BATCH_BYTES
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.models.model import Model


class Squares(Model):
    """Squares numbers. Raises for a batch with a negative number, and rejects zero alone."""

    calls = 0

    def preprocess(self, value: Any, parameters: dict[str, Any]) -> Any:
        if value == 0:
            raise ValueError("zero is not taken")
        return value

    def predict(self, batch: Sequence[Any]) -> Sequence[Any]:
        self.calls += 1
        if any(value < 0 for value in batch):
            raise ArithmeticError("negative")
        return [value * value for value in batch]


def items(values: Sequence[Any]) -> list[Item]:
    return [Item("tabular", value) for value in values]


@given(st.lists(st.integers(-3, 100), max_size=60))
def test_each_input_gets_its_own_outcome(values: list[int]) -> None:
    outcomes = run_isolated(Squares(), items(values))
    expected = [
        "InvalidInput" if value == 0 else "PredictionFailed" if value < 0 else value * value
        for value in values
    ]
    assert [o.failure.code if o.failure else o.prediction["output"] for o in outcomes] == expected


def test_one_failing_input_among_many_needs_few_calls() -> None:
    model = Squares()
    values = [*range(1, 512), -1, *range(512, 1024)]
    outcomes = run_isolated(model, items(values))
    assert sum(outcome.failure is not None for outcome in outcomes) == 1
    assert model.calls <= 2 * 10 + 1


class Returns(Model):
    def __init__(self, output: Any) -> None:
        self.output = output

    def predict(self, batch: Sequence[Any]) -> Sequence[Any]:
        return [self.output] * len(batch)


@pytest.mark.parametrize(
    ("output", "encoded"),
    [
        ({"n": np.float32(0.5), "v": np.array([1, 2])}, {"n": 0.5, "v": [1, 2]}),
        ({"bad": float("nan"), "far": np.float64("inf")}, {"bad": None, "far": None}),
        ({"pair": (1, 2)}, {"pair": [1, 2]}),
    ],
)
def test_predictions_are_converted_to_plain_json(output: Any, encoded: Any) -> None:
    (outcome,) = run_isolated(Returns(output), items([1]))
    assert outcome.failure is None
    assert outcome.prediction == encoded


def test_only_the_input_of_a_prediction_that_is_not_json_fails() -> None:
    (outcome,) = run_isolated(Returns({"what": object()}), items([1]))
    assert outcome.failure is not None
    assert outcome.failure.code == "PredictionFailed"
    assert "object has no JSON form" in outcome.failure.message


class Forgets(Model):
    def run(self, items: Sequence[Item]) -> list[Any]:
        return []


def test_too_few_outputs_are_reported() -> None:
    outcomes = run_isolated(Forgets(), items([1, 2]))
    assert [outcome.failure.code for outcome in outcomes if outcome.failure] == [
        "PredictionFailed"
    ] * 2
    assert "0 outputs for 1 inputs" in (outcomes[0].failure.message if outcomes[0].failure else "")


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize(
    "output",
    [2**70, "\ud800", {"\ud800": 1}, cyclic(), nested(80), nested(5_000), b"x" * MAX_BATCH_BYTES],
    ids=["integer", "surrogate", "surrogate in a key", "cyclic", "deep", "very deep", "large"],
)
def test_a_prediction_that_cannot_be_sent_fails_its_own_input(output: Any) -> None:
    outcomes = run_isolated(Returns({"output": output}), items([1, 2]))
    assert [o.failure.code for o in outcomes if o.failure] == ["PredictionFailed"] * 2
    messages.encode(Done(outcomes, 0, 0))


@pytest.mark.parametrize(
    "outcome",
    [
        None,
        Outcome(prediction=[1]),  # type: ignore[arg-type]
        Outcome(embedding="text"),  # type: ignore[arg-type]
        Outcome(embedding=bytes(MAX_BATCH_BYTES + 1)),
        Outcome(tokens=2**40),
        Outcome(failure=ItemFailure("\ud800", "\ud800")),
        Outcome(failure=ItemFailure("InvalidInput", "x" * 2**20)),
    ],
    ids=["none", "list", "text", "vector", "tokens", "surrogate", "long"],
)
def test_a_wrong_outcome_becomes_one_that_can_be_sent(outcome: Any) -> None:
    class Forges(Model):
        def run(self, items: Sequence[Item]) -> list[Any]:
            return [outcome] * len(items)

    outcomes = run_isolated(Forges(), items([1]))
    assert outcomes[0].failure
    frame = messages.encode(Done(outcomes, 0, 0))
    assert len(frame) < 1_000
    messages.decode_from_engine(bytes(frame)[frames.LENGTH.size :])


@pytest.mark.parametrize(
    "error",
    [
        Unspeakable(),
        SystemExit(1),
        KeyboardInterrupt(),
        ValueError("\ud800"),
    ],
)
def test_whatever_a_model_raises_fails_its_own_input(error: BaseException) -> None:
    class Raises(Model):
        def predict(self, batch: Sequence[Any]) -> Sequence[Any]:
            if -1 in batch:
                raise error
            return batch

    outcomes = run_isolated(Raises(), items([1, -1, 3]))
    assert [o.failure.code if o.failure else o.prediction["output"] for o in outcomes] == [
        1,
        "PredictionFailed",
        3,
    ]
    messages.encode(Done(outcomes, 0, 0))


def test_only_the_large_predictions_of_a_batch_fail() -> None:
    class Sizes(Model):
        def predict(self, batch: Sequence[Any]) -> Sequence[Any]:
            return ["x" * size for size in batch]

    outcomes = run_isolated(Sizes(), items([1, MAX_BATCH_BYTES // 2, 2]))
    assert [bool(outcome.failure) for outcome in outcomes] == [False, True, False]
