"""Attention of rows that hold several texts each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attend(qkv: Tensor, shape: tuple[int, int], heads: int, mask: Tensor | None) -> Tensor:
    """Softmax attention, [rows * length, hidden], of qkv [rows * length, 3 * hidden].

    `shape` is (rows, length); queries carry the scale already; `mask` is added to the scores.
    """
    rows, length = shape
    hidden = qkv.shape[1] // 3
    split = qkv.view(rows, length, 3, heads, hidden // heads).permute(2, 0, 3, 1, 4)
    if rows > 1 and qkv.dtype == torch.bfloat16 and qkv.device.type == "cpu":
        return _attend_in_products(split, mask)
    query, key, value = split.unbind(0)
    context = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)
    return context.transpose(1, 2).reshape(rows * length, hidden)


def _attend_in_products(split: Tensor, mask: Tensor | None) -> Tensor:
    """The same by plain products: for several rows of bf16 it is faster than torch's fused kernel,
    which does not use the CPU's bf16 instructions in blocks this small.
    """
    _, rows, heads, length, size = split.shape
    query, key, value = split.contiguous().view(3, rows * heads, length, size).unbind(0)
    scores = torch.bmm(query, key.transpose(1, 2)).view(rows, heads, length, length)
    if mask is not None:
        scores.add_(mask)
    weights = torch.softmax(scores, -1).view(rows * heads, length, length)
    context = torch.bmm(weights, value).view(rows, heads, length, size)
    return context.transpose(1, 2).reshape(rows * length, heads * size)
