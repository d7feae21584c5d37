"""Predictions of the demo model: embeddings, zero-shot labels, and rejected items."""

from __future__ import annotations

import time

import numpy as np
import pytest
from tests.fixtures.bert_packages import load_bert
from tests.fixtures.demo_model import demo_model, demo_model_folder

from slipway_core.inputs.items import Item
from slipway_core.models.bert.zero_shot import LabelVectorCache

TEXT = "The team scored twice in the last minute of the match."
LABELS = ("politics", "sports", "cooking")


def test_an_embedding_is_float32_of_length_one() -> None:
    (outcome,) = demo_model("fp32").run([Item("text", TEXT)])
    assert outcome.prediction == {}
    assert outcome.vector().shape == (384,)
    assert np.linalg.norm(outcome.vector()) == pytest.approx(1, abs=1e-5)
    assert outcome.tokens == 14


def test_labels_turn_an_embedding_into_a_classification() -> None:
    model = demo_model("fp32")
    plain, classified = model.run([Item("text", TEXT), Item("text", TEXT, labels=LABELS)])
    assert classified.embedding == b""
    assert classified.prediction["label"] == "sports"
    assert classified.prediction["score"] == classified.prediction["scores"]["sports"]
    labels = np.stack([o.vector() for o in model.run([Item("text", label) for label in LABELS])])
    expected = dict(zip(LABELS, (labels @ plain.vector()).tolist(), strict=True))
    assert classified.prediction["scores"] == pytest.approx(expected, abs=1e-5)
    assert list(classified.prediction["scores"]) == list(LABELS)
    assert classified.tokens == plain.tokens


def test_the_labels_of_the_manifest_are_the_default() -> None:
    model = load_bert(
        demo_model_folder(), name="topics", task="text-classification", labels=list(LABELS)
    )
    default, explicit = model.run([Item("text", TEXT), Item("text", TEXT, labels=("warm", "cold"))])
    assert default.prediction["label"] == "sports"
    assert set(explicit.prediction["scores"]) == {"warm", "cold"}
    model = load_bert(demo_model_folder(), name="topics", task="text-classification")
    (without,) = model.run([Item("text", TEXT)])
    assert without.failure is not None
    assert "`labels` must be given" in without.failure.message


def test_only_an_item_with_half_a_surrogate_pair_fails() -> None:
    outcomes = demo_model("fp32").run(
        [Item("text", TEXT), Item("text", "a \ud800"), Item("text", TEXT, labels=("\udc00",))]
    )
    codes = [outcome.failure and outcome.failure.code for outcome in outcomes]
    assert codes == [None, "InvalidInput", "InvalidInput"]
    assert outcomes[0].vector().shape == (384,)


def test_the_label_cache_is_bounded_and_keeps_recently_used_labels() -> None:
    cache = LabelVectorCache(max_labels=3)
    for label in "abc":
        cache.put([label], [np.array([3, 4], dtype=np.float32)])
    assert list(cache.get("abc")) == list("abc")
    cache.get("a")
    units = cache.put(["e"], [np.zeros(2, dtype=np.float32)])
    assert units["e"].tolist() == [0, 0]
    vectors = cache.get("abce")
    assert list(vectors) == ["a", "c", "e"]
    assert vectors["a"].tolist() == pytest.approx([0.6, 0.8])


def test_more_labels_than_the_cache_holds_are_all_scored() -> None:
    items = [Item("text", "hello", labels=tuple(f"{i} {j}" for j in range(9))) for i in range(9)]
    outcomes = demo_model("fp32").run(items)
    assert all(list(o.prediction["scores"]) == list(i.labels) for o, i in zip(outcomes, items))  # noqa: B905


@pytest.mark.parametrize("word", ["river ", "北京", "x,", "é", "a\u0301b "])
def test_a_text_of_a_megabyte_is_truncated_quickly_and_to_the_same_tokens(word: str) -> None:
    model = demo_model("fp32")
    text = word * (1_000_000 // len(word))
    started = time.perf_counter()
    (outcome,) = model.run([Item("text", text)])
    assert time.perf_counter() - started < 10
    (head,) = model.run([Item("text", word * 30_000)])
    assert outcome.embedding == head.embedding
    assert outcome.tokens == head.tokens


def test_words_after_a_very_long_word_are_read() -> None:
    long_word = "x" * 5_000
    (outcome,) = demo_model("fp32").run([Item("text", f"{long_word} river {long_word} market")])
    assert outcome.tokens == 6
