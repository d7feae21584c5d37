"""A chunk is computed in slices with a limit of tokens and of bytes."""

from __future__ import annotations

import pytest

from slipway_batch import slices
from slipway_batch.slices import cut, in_slices
from slipway_core.inputs.items import Item, Outcome


def sizes(values: list[str | bytes], max_tokens: int) -> list[int]:
    items = [Item("text", value) for value in values]
    parts = list(cut(items, lambda item: len(item.value), max_tokens))
    assert [item for part in parts for item in part] == items
    return [len(part) for part in parts]


def test_slices_respect_the_token_limit() -> None:
    assert sizes(["aaaa", "bbbb", "cc", "d" * 20, "e"], 8) == [2, 1, 1, 1]
    assert sizes([], 8) == []


def test_slices_respect_the_byte_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MAX_SLICE_BYTES", 10)
    assert sizes([b"x" * 4, b"x" * 4, b"x" * 4, b"x" * 40, b"x"], 1_000) == [2, 1, 1, 1]


async def test_outcomes_are_in_the_order_of_the_items() -> None:
    calls: list[int] = []

    async def compute(items: list[Item]) -> list[Outcome]:
        calls.append(len(items))
        return [Outcome(prediction={"value": item.value}) for item in items]

    outcomes = await in_slices(compute, lambda _: 1, 2)([Item("text", v) for v in "abcde"])
    assert [outcome.prediction for outcome in outcomes] == [{"value": v} for v in "abcde"]
    assert calls == [2, 2, 1]
