"""Turns texts into token ids, cut to the model's length, in time bounded by that length."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slipway_core.errors import ModelInvalid
from slipway_core.models.bert.config import OutputConfig
from slipway_core.models.bert.slots import TokenIds
from slipway_core.models.tokenizer_file import read_tokenizer

# A text is first cut to this many characters for each token it may have, and to all its characters
# only when that gave too few tokens.
CHARACTERS_PER_TOKEN = 12
TEXTS_AT_ONCE = 512

# Before any of these BERT's pre-tokenizer starts a new word, so what stands left of it does not
# depend on what stands right of it.
_WORD_START = re.compile(r"[\s!-/:-@\[-`{-~\u4e00-\u9fff]")


class TextTokenizer:
    """tokenizer.json with truncation and without padding."""

    def __init__(self, path: Path, output: OutputConfig, vocab_size: int, threads: int) -> None:
        """Raises ModelInvalid when the file cannot be read or knows more tokens than the model."""
        # The library's own pool takes every core it sees, which is more than a container may use.
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if threads > 1 else "false")
        self._tokenizer = read_tokenizer(path)
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if size > vocab_size:
            raise ModelInvalid(
                f"{path} has {size} tokens, and the model {vocab_size} (`vocab_size`)"
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(output.max_input_tokens)
        self._max_tokens = output.max_input_tokens
        self._lower_case = output.lower_case
        pre_tokenizer = json.loads(self._tokenizer.to_str())["pre_tokenizer"] or {}
        self._cuts = pre_tokenizer.get("type") == "BertPreTokenizer"

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """The ids of each text, with the tokens that frame it. Texts must be valid Unicode."""
        encoded: list[TokenIds] = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            encoded.extend(self._encode_some(texts[start : start + TEXTS_AT_ONCE]))
        return encoded

    def _encode_some(self, texts: Sequence[str]) -> list[TokenIds]:
        heads = [self._head(text) for text in texts]
        encoded = self._ids(heads)
        for index, text in enumerate(texts):
            if len(heads[index]) < len(text) and len(encoded[index]) < self._max_tokens:
                encoded[index] = self._ids([text])[0]
        return encoded

    def _ids(self, texts: list[str]) -> list[TokenIds]:
        if self._lower_case:
            texts = [text.lower() for text in texts]
        return [
            np.array(encoding.ids, dtype=np.int64)
            for encoding in self._tokenizer.encode_batch_fast(texts)
        ]

    def _head(self, text: str) -> str:
        """The beginning of the text, up to a place where a word ends."""
        wanted = self._max_tokens * CHARACTERS_PER_TOKEN
        if len(text) <= wanted or not self._cuts:
            return text
        found = _WORD_START.search(text, wanted)
        return text[: found.start()] if found else text
