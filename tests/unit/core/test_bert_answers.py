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


def test_the_manifests_labels_classify_when_the_request_has_none() -> None:
    model = load_bert(
        demo_model_folder(), name="topics", task="text-classification", labels=list(LABELS)
    )
    own, given = model.run([Item("text", TEXT), Item("text", TEXT, labels=("warm", "cold"))])
    assert own.prediction["label"] == "sports"
    assert set(given.prediction["scores"]) == {"warm", "cold"}
    model = load_bert(demo_model_folder(), name="topics", task="text-classification")
    (without,) = model.run([Item("text", TEXT)])
    assert without.failure is not None
    assert "`labels` must be given" in without.failure.message


def test_half_a_surrogate_pair_fails_its_item_alone() -> None:
    outcomes = demo_model("fp32").run(
        [Item("text", TEXT), Item("text", "a \ud800"), Item("text", TEXT, labels=("\udc00",))]
    )
    codes = [outcome.failure and outcome.failure.code for outcome in outcomes]
    assert codes == [None, "InvalidInput", "InvalidInput"]
    assert outcomes[0].vector().shape == (384,)


def test_labels_that_are_kept_are_bounded_and_the_latest_stay() -> None:
    kept = LabelVectorCache(max_labels=3)
    for label in "abc":
        kept.put([label], [np.array([3, 4], dtype=np.float32)])
    assert list(kept.get("abc")) == list("abc")
    kept.get("a")
    units = kept.put(["e"], [np.zeros(2, dtype=np.float32)])
    assert units["e"].tolist() == [0, 0]
    found = kept.get("abce")
    assert list(found) == ["a", "c", "e"]
    assert found["a"].tolist() == pytest.approx([0.6, 0.8])


def test_many_new_labels_at_once_are_all_answered() -> None:
    items = [Item("text", "hello", labels=tuple(f"{i} {j}" for j in range(9))) for i in range(9)]
    outcomes = demo_model("fp32").run(items)
    assert all(list(o.prediction["scores"]) == list(i.labels) for o, i in zip(outcomes, items))  # noqa: B905


@pytest.mark.parametrize("word", ["river ", "北京", "x,", "é", "a\u0301b "])
def test_a_text_of_a_megabyte_is_cut_at_once_and_to_the_same_tokens(word: str) -> None:
    model = demo_model("fp32")
    text = word * (1_000_000 // len(word))
    started = time.perf_counter()
    (outcome,) = model.run([Item("text", text)])
    assert time.perf_counter() - started < 10
    (head,) = model.run([Item("text", word * 30_000)])
    assert outcome.embedding == head.embedding
    assert outcome.tokens == head.tokens


def test_words_longer_than_the_head_of_a_text_do_not_hide_what_follows() -> None:
    long_word = "x" * 5_000
    (outcome,) = demo_model("fp32").run([Item("text", f"{long_word} river {long_word} market")])
    assert outcome.tokens == 6
