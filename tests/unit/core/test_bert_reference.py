"""The bert runtime returns the vectors of sentence-transformers for the same model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.fixtures.demo_model import demo_model, reference

from slipway_core.inputs.items import Item
from slipway_core.models.bert import BertModel

has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def cosines_to_reference(model: BertModel) -> npt.NDArray[np.float64]:
    texts, expected = reference()
    outcomes = model.run([Item("text", text) for text in texts])
    vectors = np.stack([outcome.vector() for outcome in outcomes])
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
    cosines: npt.NDArray[np.float64] = (vectors.astype(np.float64) * expected).sum(1) / lengths
    return cosines


def test_fp32_is_exact() -> None:
    assert cosines_to_reference(demo_model("fp32")).min() >= 0.999999


@pytest.mark.skipif(not has_bf16, reason="this CPU has no bf16")
def test_bf16_is_close() -> None:
    assert cosines_to_reference(demo_model("bf16")).min() >= 0.9995


def test_auto_is_close_and_reports_its_choice() -> None:
    model = demo_model("auto")
    info = model.describe()
    assert info.precision in ("fp32", "bf16")
    assert info.precision_reason
    assert cosines_to_reference(model).min() >= (0.999999 if info.precision == "fp32" else 0.9995)


def test_the_reference_covers_all_kinds_of_texts() -> None:
    texts, _ = reference()
    tokens = [
        outcome.tokens for outcome in demo_model("fp32").run([Item("text", t) for t in texts])
    ]
    assert len(texts) >= 40
    assert min(tokens) == 3
    assert tokens.count(256) >= 3  # truncated at the limit of the model
    assert demo_model("fp32").describe().max_input_tokens == 256
