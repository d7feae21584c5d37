"""Attention of rows that hold several texts each.

Functions of torch alone, so that TorchScript can compile them (see `compiled`).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional


def attend(qkv: Tensor, rows: int, length: int, heads: int, mask: Tensor | None) -> Tensor:
    """Softmax attention, [rows * length, hidden], of qkv [rows * length, 3 * hidden].

    Queries carry the scale already; `mask` is added to the scores.
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
    """The same by plain products: for several rows of bf16 it is faster than torch's fused kernel,
    which does not use the CPU's bf16 instructions in blocks this small.
    """
    _, rows, heads, length, size = split.shape
    each = split.contiguous().view(3, rows * heads, length, size)
    scores = torch.bmm(each[0], each[1].transpose(1, 2)).view(rows, heads, length, length)
    if mask is not None:
        scores.add_(mask)
    weights = torch.softmax(scores, -1).view(rows * heads, length, length)
    context = torch.bmm(weights, each[2]).view(rows, heads, length, size)
    return context.transpose(1, 2).reshape(rows * length, heads * size)


def attend_between(qkv: Tensor, bounds: Tensor, longest: int, heads: int) -> Tensor:
    """The same, [tokens, hidden], for texts laid end to end without padding on a GPU.

    `bounds` (int32, [texts + 1]) says where each begins and the last ends; none is longer than
    `longest`. FlashAttention computes nothing between texts.
    """
    tokens, width = qkv.shape
    split = qkv.view(tokens, 3, heads, width // 3 // heads)
    context: Tensor = torch.ops.aten._flash_attention_forward(
        split[:, 0],
        split[:, 1],
        split[:, 2],
        bounds,
        bounds,
        longest,
        longest,
        0.0,
        False,
        False,
        scale=1.0,
    )[0]
    return context.reshape(tokens, width // 3)


@cache
def attends_between(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Whether `attend_between` exists here and agrees with `attend` on two short texts: not every
    GPU, build of torch and head size has it.
    """
    if device.type != "cuda":
        return False
    heads, sizes = 2, [2, 3]
    qkv = torch.linspace(-1, 1, sum(sizes) * 3 * heads * head_size, device=device)
    qkv = qkv.view(sum(sizes), -1).to(dtype)
    bounds = torch.tensor([0, sizes[0], sum(sizes)], dtype=torch.int32, device=device)
    try:
        found = attend_between(qkv, bounds, max(sizes), heads)
    except (AttributeError, RuntimeError):
        return False
    texts = torch.split(qkv, sizes)
    alone = [attend(text, 1, len(text), heads, None) for text in texts]
    return bool(torch.allclose(found.float(), torch.cat(alone).float(), atol=0.05))
