"""Slicing of chunks, so that the inputs sent to the engines at one time are bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from slipway_core.inputs.items import Item, Outcome

MAX_SLICE_BYTES = 64 * 1024 * 1024
"""Maximum bytes of texts or images in a slice of several items."""

Compute = Callable[[list[Item]], Awaitable[list[Outcome]]]


def in_slices(compute: Compute, estimate: Callable[[Item], int], max_tokens: int) -> Compute:
    """Return `compute` applied to slices of at most `max_tokens`, one after another.

    estimate: returns the cost of an item in tokens.
    """

    async def compute_slices(items: list[Item]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for part in cut(items, estimate, max_tokens):
            outcomes += await compute(part)
        return outcomes

    return compute_slices


def cut(
    items: Iterable[Item], estimate: Callable[[Item], int], max_tokens: int
) -> Iterator[list[Item]]:
    """Yield consecutive items within both limits; an item that exceeds one is alone."""
    part: list[Item] = []
    tokens = size = 0
    for item in items:
        item_tokens, item_size = estimate(item), _size(item)
        if part and (tokens + item_tokens > max_tokens or size + item_size > MAX_SLICE_BYTES):
            yield part
            part, tokens, size = [], 0, 0
        part.append(item)
        tokens += item_tokens
        size += item_size
    if part:
        yield part


def _size(item: Item) -> int:
    """Return the bytes of a text or image; 0 for rows, whose tokens count their values."""
    return len(item.value) if isinstance(item.value, (str, bytes)) else 0
