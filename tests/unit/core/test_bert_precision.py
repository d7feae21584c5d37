"""The choice between fp32 and bf16, and the linear layers on oneDNN."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from slipway_core.errors import ModelLoadFailed
from slipway_core.models.bert import linear, precision
from slipway_core.models.bert.embedder import Embedder, Vectors
from slipway_core.models.bert.slots import TokenIds
from slipway_core.models.bert.weights import Affine

CPU = torch.device("cpu")
TOKENS = [np.array([1, 2, 3])]


class Candidate(Embedder):
    """A stand-in for an encoder of one format with a known accuracy and speed."""

    def __init__(self, vector: Sequence[float], seconds: float, clock: list[float]) -> None:
        self._vectors = np.array([vector], dtype=np.float32)
        self._seconds = seconds
        self._clock = clock

    def __call__(self, texts: Sequence[TokenIds]) -> Vectors:
        self._clock[0] += self._seconds
        return self._vectors


def choose(
    monkeypatch: pytest.MonkeyPatch,
    vector: Sequence[float],
    seconds: float,
    *,
    device: torch.device = CPU,
) -> precision.Choice:
    clock = [0.0]
    monkeypatch.setattr(precision, "_obstacle_to_bf16", lambda device: "")
    monkeypatch.setattr(time, "process_time", lambda: clock[0])
    candidates = {
        torch.float32: Candidate([1, 0], 1.0, clock),
        torch.bfloat16: Candidate(vector, seconds, clock),
    }
    return precision.choose_precision("auto", device, candidates.__getitem__, TOKENS)


def test_auto_chooses_bf16_if_it_is_accurate_and_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose(monkeypatch, [1, 0.01], 0.5)
    assert choice.precision == "bf16"
    phrase, _, figures = choice.reason.partition(":")
    assert phrase == "bf16 passed on the check texts", (
        "the phrase is a label of a metric, so it must not contain figures"
    )
    assert "2.0 times" in figures
    assert "0.99995" in figures


@pytest.mark.parametrize(
    ("vector", "seconds", "reason"),
    [
        ([1, 0.1], 0.5, "too far off"),
        ([float("nan"), 0], 0.5, "too far off"),
        ([1, 0], 1.1, "no faster"),
    ],
)
def test_auto_chooses_fp32_otherwise_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, vector: Sequence[float], seconds: float, reason: str
) -> None:
    choice = choose(monkeypatch, vector, seconds)
    assert choice.precision == "fp32"
    assert reason in choice.reason


def test_on_a_gpu_speed_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose(monkeypatch, [1, 0.01], 1.1, device=torch.device("cuda"))
    assert (choice.precision, "times" in choice.reason) == ("bf16", False)
    assert choose(monkeypatch, [1, 0.1], 0.5, device=torch.device("cuda")).precision == "fp32"


def test_without_bf16_instructions_auto_chooses_fp32_and_bf16_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    exact = Candidate([1, 0], 1.0, [0.0])
    choice = precision.choose_precision("auto", CPU, {torch.float32: exact}.__getitem__, TOKENS)
    assert choice.precision == "fp32"
    assert "neither AMX nor AVX512-BF16" in choice.reason
    with pytest.raises(ModelLoadFailed, match="set precision to auto or fp32"):
        precision.choose_precision("bf16", CPU, {torch.float32: exact}.__getitem__, TOKENS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_onednn_and_plain_products_agree(dtype: torch.dtype) -> None:
    if not linear.one_dnn_works(dtype):
        pytest.skip("no oneDNN here")
    generator = torch.Generator().manual_seed(1)
    affine = Affine(
        torch.randn(96, 64, generator=generator) / 8, torch.randn(96, generator=generator)
    )
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    for name in ("gelu", "gelu_tanh", "relu"):
        fused = linear.OneDnnLinear(affine, dtype, name)
        plain = linear.PlainLinear(affine, dtype, CPU, name)
        for tokens in (1, 7, 8, 130):
            x = torch.randn(tokens, 64, generator=generator).to(dtype)
            residual = torch.randn(tokens, 96, generator=generator).to(dtype)
            assert torch.allclose(fused(x), plain(x), atol=tolerance, rtol=tolerance)
            summed = fused.plus(x, residual), plain.plus(x, residual)
            assert torch.allclose(*summed, atol=tolerance, rtol=tolerance)
            activated = fused.activated(x), plain.activated(x)
            assert torch.allclose(*activated, atol=tolerance, rtol=tolerance)


def test_plain_products_are_used_where_onednn_does_not_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: object, affine: Affine, dtype: torch.dtype, activation: str) -> None:
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(linear.OneDnnLinear, "__init__", broken)
    linear.one_dnn_works.cache_clear()
    try:
        affine = Affine(torch.eye(4), torch.zeros(4))
        made = linear.make_linear(affine, torch.float32, CPU)
        assert isinstance(made, linear.PlainLinear)
        assert torch.equal(made(torch.ones(2, 4)), torch.ones(2, 4))
    finally:
        linear.one_dnn_works.cache_clear()
