"""Tokenizes texts for exported models with the package's tokenizer.json, and pads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from slipway_core.inputs.items import Item
from slipway_core.models.exported.preprocessing import PreparedInput, RejectedInput
from slipway_core.models.tokenizer_file import read_tokenizer
from slipway_core.package.datatypes import NUMPY_TYPES
from slipway_core.package.manifest import Manifest, TensorSpec

DEFAULT_MAX_TOKENS = 512
TEXT_INPUTS = (
    TensorSpec(name="input_ids", datatype="INT64", shape=[-1, -1]),
    TensorSpec(name="attention_mask", datatype="INT64", shape=[-1, -1]),
)


class TextPreprocessor:
    """Converts texts to the token arrays, [tokens], that the manifest's inputs name.

    The texts of a batch are padded to the longest. A model without an attention_mask input could
    not tell padding from text, so its texts are not padded at all.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._specs: Sequence[TensorSpec] = manifest.inputs or TEXT_INPUTS
        fixed = {spec.shape[1] for spec in self._specs if len(spec.shape) == 2} - {-1}
        self._fixed_width = min(fixed) if fixed else None
        self.max_tokens = self._fixed_width or manifest.max_input_tokens or DEFAULT_MAX_TOKENS
        self._pads = any(spec.name == "attention_mask" for spec in self._specs)
        self._tokenizer = read_tokenizer(folder / manifest.files.tokenizer)
        self._pad_id, self._pad_type = _padding_ids(self._tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_tokens)

    def prepare(self, items: Sequence[Item]) -> list[PreparedInput | RejectedInput]:
        """Return the token arrays of each text. A text without any token is rejected."""
        encodings = self._tokenizer.encode_batch([item.value for item in items])
        longest = max((len(encoding.ids) for encoding in encodings), default=0)
        results: list[PreparedInput | RejectedInput] = []
        for encoding in encodings:
            count = len(encoding.ids)
            if count == 0:
                results.append(RejectedInput.invalid("the text has no token that the model knows"))
                continue
            width = self._fixed_width or (longest if self._pads else count)
            arrays = tuple(self._array(spec, encoding, width) for spec in self._specs)
            results.append(PreparedInput(arrays, tokens=width))
        return results

    def _array(self, spec: TensorSpec, encoding: Encoding, width: int) -> npt.NDArray[Any]:
        values, filler = {
            "input_ids": (encoding.ids, self._pad_id),
            "attention_mask": (encoding.attention_mask, 0),
            "token_type_ids": (encoding.type_ids, self._pad_type),
        }[spec.name]
        array = np.full(width, filler, dtype=NUMPY_TYPES[spec.datatype])
        array[: len(values)] = values
        return array


def _padding_ids(tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the ids that pad `input_ids` and `token_type_ids`."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"]), int(tokenizer.padding["pad_type_id"])
    candidates = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>"))
    return next((number for number in candidates if number is not None), 0), 0
