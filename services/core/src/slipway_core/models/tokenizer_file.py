"""Reads the tokenizer.json of a package."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from slipway_core.errors import ModelInvalid

MAX_TOKENIZER_BYTES = 64 * 1024 * 1024
"""About twice the largest vocabulary in use, of 256,000 tokens."""


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer. Raises ModelInvalid when the file is missing or cannot be read."""
    if path.is_file() and path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise ModelInvalid(f"{path} is larger than {MAX_TOKENIZER_BYTES} bytes")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ModelInvalid(f"{path} cannot be read as a tokenizer: {error}") from None
