"""Inputs of a batch job, from a JSON list or NDJSON lines, validated one by one as they arrive."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import msgspec

from slipway_core.errors import InvalidInput
from slipway_core.inputs.cost import estimate_tokens
from slipway_core.inputs.items import Item
from slipway_core.inputs.parsing import parse_input
from slipway_core.inputs.stored_form import to_stored
from slipway_core.store.records import NewItem
from slipway_inference.http.json import decode_any
from slipway_inference.http.large_work import LargeWork
from slipway_inference.http.validation import MAX_FIELD_CHARACTERS
from slipway_inference.serving.served_model import ServedModel

ITEMS_PER_TURN = 500
"""Items of a list that are validated before other requests get a turn of the event loop."""
BYTES_PER_TURN = 64 * 1024
"""Bytes of lines, with BYTES_PER_LINE for each, that are validated before others get a turn."""
BYTES_PER_LINE = 200
_MEMBERS = {"text": "input_text", "image": "image"}
"""The member that holds the value of an input sent as an object."""


class JobItems:
    """Turns the inputs of one job into what is stored.

    `labels` have been validated and belong to the job; here they only count as tokens.
    """

    def __init__(
        self, model: ServedModel, modality: str, labels: Sequence[str], large_work: LargeWork
    ) -> None:
        self._large_work = large_work
        self._manifest = model.manifest
        self._image_limits = model.image_limits
        self._modality = modality
        self._label_tokens = sum(
            estimate_tokens(self._manifest, Item(modality, label)) for label in labels
        )
        self._count = 0

    async def from_list(self, inputs: list[Any], size: int) -> AsyncIterator[NewItem]:
        """Yield each element of a JSON list from a body of `size` bytes, and take it out of the
        list, so that its memory is free while it is stored. Raises InvalidInput naming `inputs.N`.
        """
        for start in range(0, len(inputs), ITEMS_PER_TURN):
            turn = slice(start, start + ITEMS_PER_TURN)
            parse = partial(self._items, inputs[turn], start)
            inputs[turn] = [None] * len(inputs[turn])
            items = await self._large_work.run(size, parse)
            del parse
            while items:
                yield items.popleft()
            await asyncio.sleep(0)

    async def from_lines(self, lines: AsyncIterator[bytes]) -> AsyncIterator[NewItem]:
        """Yield each non-empty line. Raises InvalidInput or MalformedBody naming `line N`."""
        number = 0
        bytes_in_turn = 0
        async for line in lines:
            number += 1
            if line.strip():
                parse = partial(self._item_of_line, line, f"line {number}")
                yield await self._large_work.run(len(line), parse)
            bytes_in_turn += len(line) + BYTES_PER_LINE
            if bytes_in_turn > BYTES_PER_TURN:
                bytes_in_turn = 0
                await asyncio.sleep(0)
        if self._count == 0:
            raise InvalidInput.at("body", "must hold at least one line with an input")

    def _items(self, inputs: Sequence[Any], start: int) -> deque[NewItem]:
        return deque(self._item(raw, f"inputs.{start + index}") for index, raw in enumerate(inputs))

    def _item_of_line(self, line: bytes, name: str) -> NewItem:
        return self._item(decode_any(line, what=name), name)

    def _item(self, raw: Any, field: str) -> NewItem:
        self._count += 1
        raw, field = self._unwrap(raw, field)
        item = parse_input(
            self._manifest, self._modality, raw, field=field, image_limits=self._image_limits
        )
        tokens = estimate_tokens(self._manifest, item) + self._label_tokens
        return NewItem(msgspec.json.encode(to_stored(item)).decode(), tokens)

    def _unwrap(self, raw: Any, field: str) -> tuple[Any, str]:
        """Return the value inside an object such as {"input_text": ...}, and its field; other
        values as they are.
        """
        name = _MEMBERS.get(self._modality)
        if name is None or not isinstance(raw, dict):
            return raw, field
        if name not in raw:
            raise InvalidInput.at(f"{field}.{name}", "is missing")
        for other in raw:
            if other != name:
                raise InvalidInput.at(
                    f"{field}.{other[:MAX_FIELD_CHARACTERS]}",
                    "is not a field of an input; labels and parameters belong to the whole job",
                )
        return raw[name], f"{field}.{name}"
