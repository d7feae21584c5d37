"""Turns texts into token ids, in a time that depends on the model's maximum length only."""

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

# A text is first cut to this many characters for each token it may have. All of it is tokenized
# only when that yields too few tokens.
CHARACTERS_PER_TOKEN = 12
TEXTS_AT_ONCE = 512

# BERT's pre-tokenizer starts a new word before any of these, so the tokens to the left do not
# depend on the characters to the right.
_WORD_START = re.compile(r"[\s!-/:-@\[-`{-~\u4e00-\u9fff]")


class TextTokenizer:
    """The tokenizer of tokenizer.json, with truncation and without padding."""

    def __init__(self, path: Path, output: OutputConfig, vocab_size: int, threads: int) -> None:
        """Raise ModelInvalid when the file is invalid or has more tokens than the model."""
        # By default the library uses every core it sees, which may be more than the container's.
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
        self._can_cut = pre_tokenizer.get("type") == "BertPreTokenizer"

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the ids of each text, including [CLS] and [SEP]. Texts must be valid Unicode."""
        encoded: list[TokenIds] = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            encoded.extend(self._encode_chunk(texts[start : start + TEXTS_AT_ONCE]))
        return encoded

    def _encode_chunk(self, texts: Sequence[str]) -> list[TokenIds]:
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
        """Return the beginning of the text, up to the end of a word."""
        characters = self._max_tokens * CHARACTERS_PER_TOKEN
        if len(text) <= characters or not self._can_cut:
            return text
        word_start = _WORD_START.search(text, characters)
        return text[: word_start.start()] if word_start else text
