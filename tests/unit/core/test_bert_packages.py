"""BERT packages of all supported forms agree with a plain forward pass; others are rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.fixtures.bert_packages import CONFIG, load_bert, make_tensors, write_bert_package
from torch import Tensor
from torch.nn import functional

from slipway_core.errors import ModelInvalid, ModelLoadFailed
from slipway_core.inputs.items import Item
from slipway_core.models.bert import BertModel

TEXTS = ["a", "hello world", "the quick brown fox", "zz zz zz zz", "x" * 60]
ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}


def plain_hidden(tensors: dict[str, Tensor], config: dict[str, Any], ids: list[int]) -> Tensor:
    """Return the last hidden state of one text, [tokens, hidden], by a plain forward pass."""

    def linear(name: str, x: Tensor) -> Tensor:
        return functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return functional.layer_norm(x, x.shape[-1:], weight, bias, config["layer_norm_eps"])

    count, heads = len(ids), config["num_attention_heads"]
    x = tensors["embeddings.word_embeddings.weight"][ids]
    x = x + tensors["embeddings.position_embeddings.weight"][:count]
    x = norm("embeddings.LayerNorm", x + tensors["embeddings.token_type_embeddings.weight"][0])
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        query, key, value = (
            linear(f"{layer}.attention.self.{part}", x).view(count, heads, -1).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        context = (scores.softmax(-1) @ value).transpose(0, 1).reshape(count, -1)
        dense = linear(f"{layer}.attention.output.dense", context)
        x = norm(f"{layer}.attention.output.LayerNorm", x + dense)
        inner = ACTIVATIONS[config["hidden_act"]](linear(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", inner))
    return x


def token_ids(model: BertModel) -> list[list[int]]:
    return [ids.tolist() for ids in model._tokenizer.encode(TEXTS)]


def embeddings(model: BertModel) -> npt.NDArray[np.float32]:
    return np.stack([outcome.vector() for outcome in model.run([Item("text", t) for t in TEXTS])])


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations_and_mean_pooling(tmp_path: Path, activation: str) -> None:
    config = {**CONFIG, "hidden_act": activation}
    tensors = make_tensors(config)
    model = load_bert(write_bert_package(tmp_path, tensors, config))
    means = [plain_hidden(tensors, config, ids).mean(0) for ids in token_ids(model)]
    expected = functional.normalize(torch.stack(means), dim=1)
    assert np.abs(embeddings(model) - expected.numpy()).max() < 1e-5


@pytest.mark.parametrize(
    "pooling",
    [{"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, {"pooling_mode": "cls"}],
)
def test_cls_pooling_without_normalisation(tmp_path: Path, pooling: dict[str, Any]) -> None:
    tensors = make_tensors()
    folder = write_bert_package(
        tmp_path, tensors, pooling=pooling, modules=("Transformer", "Pooling")
    )
    model = load_bert(folder)
    expected = torch.stack([plain_hidden(tensors, CONFIG, ids)[0] for ids in token_ids(model)])
    assert np.abs(embeddings(model) - expected.numpy()).max() < 1e-4


def test_prefixes_old_names_and_half_precision_are_supported(tmp_path: Path) -> None:
    tensors = make_tensors()
    expected = embeddings(load_bert(write_bert_package(tmp_path / "plain", tensors)))
    renamed = {
        "bert." + name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): value
        for name, value in tensors.items()
    }
    renamed["bert.pooler.dense.weight"] = torch.zeros(32, 32)
    renamed["cls.predictions.bias"] = torch.zeros(56)
    actual = embeddings(load_bert(write_bert_package(tmp_path / "renamed", renamed)))
    assert np.array_equal(actual, expected)
    halves = {name: value.half() for name, value in tensors.items()}
    actual = embeddings(load_bert(write_bert_package(tmp_path / "halves", halves)))
    assert np.abs(actual - expected).max() < 0.01


def test_texts_are_truncated_at_the_limits_of_manifest_and_model(tmp_path: Path) -> None:
    folder = write_bert_package(tmp_path, make_tensors())
    long = Item("text", "word " * 100)
    model = load_bert(folder)
    assert model.describe().max_input_tokens == 40
    assert model.run([long])[0].tokens == 40
    model = load_bert(folder, max_input_tokens=9)
    assert model.run([long])[0].tokens == 9
    assert load_bert(folder, max_input_tokens=4000).describe().max_input_tokens == 40
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    assert load_bert(folder).run([long])[0].tokens == 12


def test_a_classifier_returns_the_probabilities_of_its_classes(tmp_path: Path) -> None:
    tensors = make_tensors(classes=3)
    config = {**CONFIG, "id2label": {"0": "bad", "1": "fair", "2": "good"}}
    folder = write_bert_package(tmp_path, tensors, config)
    model = load_bert(folder, task="text-classification")
    outcomes = model.run([Item("text", text) for text in TEXTS])
    for ids, outcome in zip(token_ids(model), outcomes, strict=True):
        first = plain_hidden(tensors, config, ids)[0]
        pooled = torch.tanh(first @ tensors["pooler.dense.weight"].T + tensors["pooler.dense.bias"])
        logits = pooled @ tensors["classifier.weight"].T + tensors["classifier.bias"]
        expected = dict(zip(("bad", "fair", "good"), logits.softmax(-1).tolist(), strict=True))
        assert outcome.prediction["scores"] == pytest.approx(expected, abs=1e-5)
        assert outcome.prediction["label"] == max(expected, key=expected.__getitem__)
        assert outcome.prediction["score"] == pytest.approx(max(expected.values()), abs=1e-5)
        assert outcome.tokens == len(ids)
    named = load_bert(folder, task="text-classification", labels=["x", "y", "z"])
    assert set(named.run([Item("text", "a")])[0].prediction["scores"]) == {"x", "y", "z"}
    (rejected,) = model.run([Item("text", "a", labels=("one", "two"))])
    assert rejected.failure is not None
    assert rejected.failure.code == "InvalidInput"


def test_a_multi_label_classifier_returns_independent_probabilities(tmp_path: Path) -> None:
    config = {**CONFIG, "problem_type": "multi_label_classification"}
    folder = write_bert_package(tmp_path, make_tensors(classes=2), config)
    model = load_bert(folder, task="text-classification", labels=["x", "y"])
    scores = model.run([Item("text", "some text")])[0].prediction["scores"]
    assert sum(scores.values()) != pytest.approx(1, abs=1e-3)


def test_a_classifier_needs_a_label_for_each_class(tmp_path: Path) -> None:
    folder = write_bert_package(tmp_path, make_tensors(classes=3))
    with pytest.raises(ModelInvalid, match="id2label"):
        load_bert(folder, task="text-classification")
    with pytest.raises(ModelInvalid, match="has 2 names, and the classifier 3"):
        load_bert(folder, task="text-classification", labels=["x", "y"])


@pytest.mark.parametrize(
    "name",
    ["encoder.layer.1.attention.self.key.weight", "embeddings.LayerNorm.bias"],
)
def test_missing_tensors_and_wrong_shapes_are_reported_with_the_name(
    tmp_path: Path, name: str
) -> None:
    tensors = make_tensors()
    tensor = tensors.pop(name)
    with pytest.raises(ModelInvalid, match=f"no tensor {name}"):
        load_bert(write_bert_package(tmp_path / "missing", tensors))
    tensors[name] = tensor[:-1].clone()
    with pytest.raises(ModelInvalid, match=rf"{name} must have the shape \[32"):
        load_bert(write_bert_package(tmp_path / "misshapen", tensors))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"hidden_act": "silu"}, "`hidden_act` must be one of gelu"),
        ({"model_type": "roberta"}, "`model_type` must be 'bert'"),
        ({"position_embedding_type": "relative_key"}, "`position_embedding_type`"),
        ({"num_attention_heads": 5}, "`hidden_size` must be a multiple"),
        ({"num_attention_heads": 0}, "`num_attention_heads` must be at least 1"),
        ({"hidden_size": "large"}, "hidden_size"),
        ({"vocab_size": 20}, "has 56 tokens, and the model 20"),
        ({"max_position_embeddings": 2}, "at least 3"),
    ],
)
def test_unsupported_encoders_are_rejected(
    tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    tensors = make_tensors()
    folder = write_bert_package(tmp_path, tensors, {**CONFIG, **change})
    with pytest.raises(ModelInvalid, match=match):
        load_bert(folder)


def test_unsupported_modules_and_poolings_are_rejected(tmp_path: Path) -> None:
    tensors = make_tensors()
    dense = ("Transformer", "Pooling", "Dense")
    with pytest.raises(ModelInvalid, match="Dense"):
        load_bert(write_bert_package(tmp_path / "dense", tensors, modules=dense))
    pooling = {"pooling_mode_max_tokens": True}
    with pytest.raises(ModelInvalid, match="pooling_mode_max_tokens"):
        load_bert(write_bert_package(tmp_path / "max", tensors, pooling=pooling))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_broken_files_are_reported_with_their_name(tmp_path: Path, name: str) -> None:
    folder = write_bert_package(tmp_path, make_tensors())
    (folder / name).write_bytes(b"\xff\x00 not what it should be")
    with pytest.raises(ModelInvalid, match=name):
        load_bert(folder)
    (folder / name).unlink()
    with pytest.raises(ModelInvalid, match=name):
        load_bert(folder)


def test_an_unavailable_precision_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="auto, fp32 or bf16"):
        load_bert(write_bert_package(tmp_path, make_tensors()), precision="int8")
