"""Batching never changes a prediction: a text gets the same vector alone and in any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.bert_packages import load_bert
from tests.fixtures.demo_model import demo_model, demo_model_folder

from slipway_core.inputs.items import Item
from slipway_core.models.bert import BertModel

words = st.sampled_from(
    ["a", "the", "river", "3.14", "Großstadt", "北京", "x" * 40, "?", "👍", "-"]
)
texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.tuples(words, st.integers(1, 320)).map(lambda pair: " ".join([pair[0]] * pair[1])),
    st.lists(words, min_size=1, max_size=90).map(" ".join),
    st.sampled_from(["", " ", "\n", "\u200b", "\x00", "."]),
)


def vectors(batch: list[str], model: BertModel | None = None) -> np.ndarray:
    outcomes = (model or demo_model("fp32")).run([Item("text", text) for text in batch])
    assert all(outcome.failure is None for outcome in outcomes)
    return np.stack([outcome.vector() for outcome in outcomes])


@settings(max_examples=15, deadline=None)
@given(st.lists(texts, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_text_gets_the_same_vector_alone_and_in_any_batch(
    batch: list[str], random: object
) -> None:
    together = vectors(batch)
    alone = np.concatenate([vectors([text]) for text in batch])
    assert np.abs(together - alone).max() <= 1e-5
    order = sorted(range(len(batch)), key=lambda _: random.random())  # type: ignore[attr-defined]
    shuffled = vectors([batch[index] for index in order])
    assert np.abs(shuffled - alone[order]).max() <= 1e-5


def test_a_large_batch_is_computed_in_pieces() -> None:
    batch = [" ".join(["river"] * (index * 7 % 300)) for index in range(80)]
    some = [0, 7, 36, 42, 43, 79]
    together = vectors(batch)
    alone = np.concatenate([vectors([batch[index]]) for index in some])
    assert np.abs(together[some] - alone).max() <= 1e-5


def test_an_empty_batch_has_no_outcomes() -> None:
    assert demo_model("fp32").run([]) == []


@pytest.mark.parametrize("error", [RuntimeError("not here"), OSError("no source"), TypeError()])
def test_a_forward_pass_that_torch_cannot_compile_is_interpreted(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(module: object) -> None:
        raise error

    monkeypatch.setattr(torch.jit, "script", refuse)
    interpreted = load_bert(demo_model_folder(), precision="fp32")
    batch = ["river", " ".join(["Straße"] * 200), *(f"number {index}" for index in range(40))]
    assert np.array_equal(vectors(batch, interpreted), vectors(batch))
