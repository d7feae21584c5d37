"""The estimated cost of an input in tokens, known before it is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipway_core.inputs.image_header import read_image_size
from slipway_core.inputs.items import Item
from slipway_core.package.manifest import Manifest

BYTES_PER_TOKEN = 4  # of a text in UTF-8
IMAGE_BYTES_PER_TOKEN = 4096  # of an encoded image
PIXELS_PER_TOKEN = (
    8192  # of an image: decoding them takes about as long as a token of a small model
)
VALUES_PER_TOKEN = 512  # of a row


def estimate_tokens(manifest: Manifest, item: Item) -> int:
    """Estimate the tokens of an input.

    For a text these are its tokens and those of its labels. A row or an image costs 1, and more
    for many values, bytes or pixels, so that limits in tokens also limit time and memory.
    """
    if item.modality == "text":
        tokens = _text_tokens(manifest, item.value)
        for label in item.labels:
            tokens += _text_tokens(manifest, label)
        return tokens
    if isinstance(item.value, bytes):
        return _image_tokens(item.value)
    return 1 + count_values(item.value) // VALUES_PER_TOKEN


def _image_tokens(content: bytes) -> int:
    width, height = read_image_size(content) or (0, 0)
    return 1 + len(content) // IMAGE_BYTES_PER_TOKEN + width * height // PIXELS_PER_TOKEN


def _text_tokens(manifest: Manifest, text: str) -> int:
    limit = manifest.max_input_tokens
    # A character has at least one byte: a long text need not be encoded to know that it is long.
    if limit and len(text) >= limit * BYTES_PER_TOKEN:
        return limit
    size = len(text) if text.isascii() else len(text.encode("utf-8"))
    tokens = 2 + size // BYTES_PER_TOKEN
    return min(tokens, limit) if limit else tokens


def count_values(value: Any) -> int:
    """Return the number of scalar values in nested lists, objects and arrays.

    Lists are taken to be uniform: the first element decides whether they are nested.
    """
    if isinstance(value, dict):
        return sum(map(count_values, value.values()))
    if isinstance(value, list):
        return sum(map(count_values, value)) if value and isinstance(value[0], list) else len(value)
    return value.size if isinstance(value, np.ndarray) else 1
