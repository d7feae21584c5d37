"""The seam to oneDNN: products with their activation and residual sum, on prepacked weights.

The operations behind it are private to torch, so they are proved on a small product before they are
used, and there is a plain form of the same thing for every other machine and for GPUs.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from slipway_core.models.bert.weights import Affine

# By activation: the name and the algorithm of oneDNN.
_FUSED = {"gelu": ("gelu", "none"), "gelu_tanh": ("gelu", "tanh"), "relu": ("relu", "")}


class PlainLinear(nn.Module):
    """x @ weight.T + bias, for x of [tokens, in], by torch's public operations."""

    def __init__(
        self, affine: Affine, dtype: torch.dtype, device: torch.device, activation: str = "gelu"
    ) -> None:
        """`activation` (gelu, gelu_tanh or relu) is what `activated` applies."""
        super().__init__()
        self.weight = affine.weight.to(device, dtype)
        self.bias = affine.bias.to(device, dtype)
        self.relu = activation == "relu"
        self.approximate = "tanh" if activation == "gelu_tanh" else "none"

    def forward(self, x: Tensor) -> Tensor:
        """The product."""
        return functional.linear(x, self.weight, self.bias)

    def activated(self, x: Tensor) -> Tensor:
        """The product with the activation applied."""
        product = functional.linear(x, self.weight, self.bias)
        if self.relu:
            return functional.relu(product)
        return functional.gelu(product, approximate=self.approximate)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The product with the residual, of [tokens, out], added."""
        return functional.linear(x, self.weight, self.bias).add_(residual)


class OneDnnLinear(nn.Module):
    """The same by oneDNN on a weight in the CPU's own layout, what follows the product fused in."""

    def __init__(self, affine: Affine, dtype: torch.dtype, activation: str = "gelu") -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(affine.weight.to(dtype))
        self.bias = affine.bias.to(dtype)
        self.activation, self.algorithm = _FUSED[activation]

    def forward(self, x: Tensor) -> Tensor:
        """The product."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return made

    def activated(self, x: Tensor) -> Tensor:
        """The product with the activation applied."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], self.algorithm
        )
        return made

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The product with the residual, of [tokens, out], added."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, residual, self.weight, self.bias, "add"
        )
        return made


Linear = PlainLinear | OneDnnLinear


def make_linear(
    affine: Affine, dtype: torch.dtype, device: torch.device, activation: str = "gelu"
) -> Linear:
    """The fastest form of a product that this machine and this torch can do."""
    if device.type == "cpu" and one_dnn_works(dtype):
        return OneDnnLinear(affine, dtype, activation)
    return PlainLinear(affine, dtype, device, activation)


@cache
def one_dnn_works(dtype: torch.dtype) -> bool:
    """Whether oneDNN's operations exist and agree with the plain ones on a small product."""
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
    # bf16 rounds to 8 bits: this tells a wrong operation from a right one, not a precise one.
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    return all(bool(torch.allclose(a.float(), b, rtol=tolerance, atol=tolerance)) for a, b in pairs)
