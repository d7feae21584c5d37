"""Reads the tokenizer.json of a package."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from slipway_core.errors import ModelInvalid


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer. Raises ModelInvalid when the file is missing or cannot be read."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ModelInvalid(f"{path} cannot be read as a tokenizer: {error}") from None
