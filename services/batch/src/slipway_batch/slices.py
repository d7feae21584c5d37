"""Hands a chunk to the engines in slices, so that what is computed at once is bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from slipway_core.inputs.items import Item, Outcome

SLICE_BYTES = 64 * 1024 * 1024
"""Most bytes of texts or pictures that are handed over at once."""

Compute = Callable[[list[Item]], Awaitable[list[Outcome]]]


def in_slices(compute: Compute, estimate: Callable[[Item], int], max_tokens: int) -> Compute:
    """`compute`, called with slices of at most `max_tokens` estimated tokens, one after another."""

    async def compute_slices(items: list[Item]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for part in cut(items, estimate, max_tokens):
            outcomes += await compute(part)
        return outcomes

    return compute_slices


def cut(
    items: Iterable[Item], estimate: Callable[[Item], int], max_tokens: int
) -> Iterator[list[Item]]:
    """Consecutive items within both bounds; one that is too large by itself goes alone."""
    part: list[Item] = []
    tokens = size = 0
    for item in items:
        cost, length = estimate(item), _bytes(item)
        if part and (tokens + cost > max_tokens or size + length > SLICE_BYTES):
            yield part
            part, tokens, size = [], 0, 0
        part.append(item)
        tokens += cost
        size += length
    if part:
        yield part


def _bytes(item: Item) -> int:
    """Rows count nothing here: their estimate grows with the number of their values."""
    return len(item.value) if isinstance(item.value, (str, bytes)) else 0
