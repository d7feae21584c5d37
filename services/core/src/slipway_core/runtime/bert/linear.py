"""The one seam to oneDNN: products with their activation and residual sum, on prepacked weights.

The operations behind it are private to torch, so they are proved on a small product before they are
used, and there is a plain form of the same thing for every other machine and for GPUs.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from slipway_core.runtime.bert.weights import Affine

# By activation: the name and the algorithm of oneDNN.
_FUSED = {"gelu": ("gelu", "none"), "gelu_tanh": ("gelu", "tanh"), "relu": ("relu", "")}


class Linear(Protocol):
    """x @ weight.T + bias, for x of [tokens, in]."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def activated(self, x: Tensor, activation: str) -> Tensor:
        """The product with the activation (gelu, gelu_tanh or relu) applied."""
        ...

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The product with the residual, of [tokens, out], added."""
        ...


class PlainLinear:
    """torch's public operations."""

    def __init__(self, affine: Affine, dtype: torch.dtype, device: torch.device) -> None:
        self._weight = affine.weight.to(device, dtype)
        self._bias = affine.bias.to(device, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight, self._bias)

    def activated(self, x: Tensor, activation: str) -> Tensor:
        product = self(x)
        if activation == "relu":
            return functional.relu(product)
        return functional.gelu(product, approximate="tanh" if activation == "gelu_tanh" else "none")

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return self(x).add_(residual)


class OneDnnLinear:
    """oneDNN's product on a weight in the CPU's own layout, the rest fused into it."""

    def __init__(self, affine: Affine, dtype: torch.dtype) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(affine.weight.to(dtype))
        self._bias = affine.bias.to(dtype)
        self._product = torch.ops.mkldnn._linear_pointwise.default
        self._sum = torch.ops.mkldnn._linear_pointwise.binary

    def __call__(self, x: Tensor) -> Tensor:
        product: Tensor = self._product(x, self._weight, self._bias, "none", [], "")
        return product

    def activated(self, x: Tensor, activation: str) -> Tensor:
        name, algorithm = _FUSED[activation]
        product: Tensor = self._product(x, self._weight, self._bias, name, [], algorithm)
        return product

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        product: Tensor = self._sum(x, residual, self._weight, self._bias, "add")
        return product


def make_linear(affine: Affine, dtype: torch.dtype, device: torch.device) -> Linear:
    """The fastest form of a product that this machine and this torch can do."""
    if device.type == "cpu" and one_dnn_works(dtype):
        return OneDnnLinear(affine, dtype)
    return PlainLinear(affine, dtype, device)


@cache
def one_dnn_works(dtype: torch.dtype) -> bool:
    """Whether oneDNN's operations exist and agree with the plain ones on a small product."""
    try:
        affine = Affine(torch.linspace(-1, 1, 48 * 32).view(32, 48), torch.linspace(-1, 1, 32))
        fused = OneDnnLinear(affine, dtype)
        plain = PlainLinear(affine, torch.float32, torch.device("cpu"))
        x = torch.linspace(-1, 1, 8 * 48).view(8, 48)
        residual = torch.linspace(1, -1, 8 * 32).view(8, 32)
        short, short_residual = x.to(dtype), residual.to(dtype)
        pairs = [
            (fused(short), plain(x)),
            (fused.plus(short, short_residual), plain.plus(x, residual)),
            *((fused.activated(short, name), plain.activated(x, name)) for name in _FUSED),
        ]
    except (AttributeError, RuntimeError):  # NotImplementedError is a RuntimeError
        return False
    # bf16 rounds to 8 bits: this tells a wrong operation from a right one, not a precise one.
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    return all(bool(torch.allclose(a.float(), b, rtol=tolerance, atol=tolerance)) for a, b in pairs)
