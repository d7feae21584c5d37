"""Attention for rows that hold several texts each.

These functions use torch only, so that TorchScript can compile them (see `embedder.compiled`).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional


def attend(qkv: Tensor, rows: int, length: int, heads: int, mask: Tensor | None) -> Tensor:
    """Return softmax attention, [rows * length, hidden], of qkv [rows * length, 3 * hidden].

    Queries are scaled already; `mask`, [rows, 1, length, length], is added to the scores.
    """
    hidden = qkv.shape[1] // 3
    split = qkv.view(rows, length, 3, heads, hidden // heads).permute(2, 0, 3, 1, 4)
    if rows > 1 and qkv.dtype == torch.bfloat16 and not qkv.is_cuda:
        return _attend_in_products(split, mask)
    context = functional.scaled_dot_product_attention(
        split[0], split[1], split[2], attn_mask=mask, scale=1.0
    )
    return context.transpose(1, 2).reshape(rows * length, hidden)


def _attend_in_products(split: Tensor, mask: Tensor | None) -> Tensor:
    """Return the attention of qkv split into [3, rows, heads, length, head size].

    For several rows of bf16 plain products are faster than torch's fused kernel, which does not use
    the CPU's bf16 instructions for blocks this small.
    """
    _, rows, heads, length, size = split.shape
    each = split.contiguous().view(3, rows * heads, length, size)
    scores = torch.bmm(each[0], each[1].transpose(1, 2)).view(rows, heads, length, length)
    if mask is not None:
        scores.add_(mask)
    weights = torch.softmax(scores, -1).view(rows * heads, length, length)
    context = torch.bmm(weights, each[2]).view(rows, heads, length, size)
    return context.transpose(1, 2).reshape(rows * length, heads * size)


def attend_varlen(qkv: Tensor, offsets: Tensor, max_length: int, heads: int) -> Tensor:
    """Return attention, [tokens, hidden], of unpadded qkv [tokens, 3 * hidden] on a GPU.

    `offsets`, int32 [texts + 1], holds the start of each text and the end of the last one;
    `max_length` is the length of the longest text. FlashAttention computes nothing between texts.
    """
    tokens, width = qkv.shape
    split = qkv.view(tokens, 3, heads, width // 3 // heads)
    context: Tensor = torch.ops.aten._flash_attention_forward(
        split[:, 0],
        split[:, 1],
        split[:, 2],
        offsets,
        offsets,
        max_length,
        max_length,
        0.0,
        False,
        False,
        scale=1.0,
    )[0]
    return context.reshape(tokens, width // 3)


@cache
def supports_varlen(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Return whether `attend_varlen` works here and agrees with `attend` on two short texts.

    Not every GPU, build of torch and head size supports it.
    """
    if device.type != "cuda":
        return False
    heads, sizes = 2, [2, 3]
    qkv = torch.linspace(-1, 1, sum(sizes) * 3 * heads * head_size, device=device)
    qkv = qkv.view(sum(sizes), -1).to(dtype)
    offsets = torch.tensor([0, sizes[0], sum(sizes)], dtype=torch.int32, device=device)
    try:
        varlen = attend_varlen(qkv, offsets, max(sizes), heads)
    except (AttributeError, RuntimeError):
        return False
    texts = torch.split(qkv, sizes)
    alone = [attend(text, 1, len(text), heads, None) for text in texts]
    return bool(torch.allclose(varlen.float(), torch.cat(alone).float(), atol=0.05))
