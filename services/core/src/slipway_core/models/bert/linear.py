"""Linear layers on oneDNN: products fused with their activation or residual, prepacked weights.

These operations are private to torch, so they are tested on a small product before they are used.
Other machines and GPUs use torch's public operations.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from slipway_core.models.bert.weights import Affine

# The name and the algorithm of oneDNN for each activation.
_FUSED = {"gelu": ("gelu", "none"), "gelu_tanh": ("gelu", "tanh"), "relu": ("relu", "")}


class PlainLinear(nn.Module):
    """Computes x @ weight.T + bias by torch's public operations: [tokens, in] to [tokens, out]."""

    def __init__(
        self, affine: Affine, dtype: torch.dtype, device: torch.device, activation: str = "gelu"
    ) -> None:
        """`activated` applies `activation`: gelu, gelu_tanh or relu."""
        super().__init__()
        self.weight = affine.weight.to(device, dtype)
        self.bias = affine.bias.to(device, dtype)
        self.relu = activation == "relu"
        self.approximate = "tanh" if activation == "gelu_tanh" else "none"

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return functional.linear(x, self.weight, self.bias)

    def activated(self, x: Tensor) -> Tensor:
        """Return the product with the activation applied."""
        product = functional.linear(x, self.weight, self.bias)
        if self.relu:
            return functional.relu(product)
        return functional.gelu(product, approximate=self.approximate)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the product plus the residual, [tokens, out]."""
        return functional.linear(x, self.weight, self.bias).add_(residual)


class OneDnnLinear(nn.Module):
    """The same by oneDNN, with weights in its own layout and the following operation fused in."""

    def __init__(self, affine: Affine, dtype: torch.dtype, activation: str = "gelu") -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(affine.weight.to(dtype))
        self.bias = affine.bias.to(dtype)
        self.activation, self.algorithm = _FUSED[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, "none", [], ""
        )
        return product

    def activated(self, x: Tensor) -> Tensor:
        """Return the product with the activation applied."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], self.algorithm
        )
        return product

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the product plus the residual, [tokens, out]."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, residual, self.weight, self.bias, "add"
        )
        return product


Linear = PlainLinear | OneDnnLinear


def make_linear(
    affine: Affine, dtype: torch.dtype, device: torch.device, activation: str = "gelu"
) -> Linear:
    """Return the fastest linear layer that this machine and this build of torch support."""
    if device.type == "cpu" and one_dnn_works(dtype):
        return OneDnnLinear(affine, dtype, activation)
    return PlainLinear(affine, dtype, device, activation)


@cache
def one_dnn_works(dtype: torch.dtype) -> bool:
    """Return whether oneDNN's operations exist and agree with the plain ones."""
    affine = Affine(torch.linspace(-1, 1, 48 * 32).view(32, 48), torch.linspace(-1, 1, 32))
    x = torch.linspace(-1, 1, 8 * 48).view(8, 48)
    residual = torch.linspace(1, -1, 8 * 32).view(8, 32)
    short, short_residual = x.to(dtype), residual.to(dtype)
    pairs: list[tuple[Tensor, Tensor]] = []
    try:
        for activation in _FUSED:
            fused = OneDnnLinear(affine, dtype, activation)
            plain = PlainLinear(affine, torch.float32, torch.device("cpu"), activation)
            pairs += [
                (fused(short), plain(x)),
                (fused.activated(short), plain.activated(x)),
                (fused.plus(short, short_residual), plain.plus(x, residual)),
            ]
    except (AttributeError, RuntimeError):  # NotImplementedError is a RuntimeError
        return False
    # bf16 rounds to 8 bits: this detects a wrong operation, not an imprecise one.
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    return all(bool(torch.allclose(a.float(), b, rtol=tolerance, atol=tolerance)) for a, b in pairs)
