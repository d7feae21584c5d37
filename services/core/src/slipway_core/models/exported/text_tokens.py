"""Texts for exported models: cut into tokens by the package's tokenizer.json, and padded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from slipway_core.inputs.items import Item
from slipway_core.models.exported.preprocessing import Encoded, Refused
from slipway_core.models.tokenizer_file import read_tokenizer
from slipway_core.package.datatypes import NUMPY_TYPES
from slipway_core.package.manifest import Manifest, TensorSpec

DEFAULT_LONGEST = 512
TEXT_INPUTS = (
    TensorSpec(name="input_ids", datatype="INT64", shape=[-1, -1]),
    TensorSpec(name="attention_mask", datatype="INT64", shape=[-1, -1]),
)


class TextEncoder:
    """Encodes texts to the token arrays that the manifest's inputs name.

    Texts of a batch are padded to the longest. A model that takes no attention_mask could not tell
    padding from text, so its texts are not padded at all.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._specs: Sequence[TensorSpec] = manifest.inputs or TEXT_INPUTS
        fixed = {spec.shape[1] for spec in self._specs if len(spec.shape) == 2} - {-1}
        self._width = min(fixed) if fixed else None
        self.longest = self._width or manifest.max_input_tokens or DEFAULT_LONGEST
        self._pads = any(spec.name == "attention_mask" for spec in self._specs)
        self._tokenizer = read_tokenizer(folder / manifest.files.tokenizer)
        self._pad_id, self._pad_type = _padding(self._tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.longest)

    def encode(self, items: Sequence[Item]) -> list[Encoded | Refused]:
        """Token arrays for each text; a text without any token is refused."""
        encodings = self._tokenizer.encode_batch([item.value for item in items])
        longest = max((len(encoding.ids) for encoding in encodings), default=0)
        results: list[Encoded | Refused] = []
        for encoding in encodings:
            count = len(encoding.ids)
            if count == 0:
                results.append(Refused("the text has no token that the model knows"))
                continue
            width = self._width or (longest if self._pads else count)
            arrays = tuple(self._array(spec, encoding, width) for spec in self._specs)
            results.append(Encoded(arrays, tokens=width))
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


def _padding(tokenizer: Tokenizer) -> tuple[int, int]:
    """The ids that fill up `input_ids` and `token_type_ids`."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"]), int(tokenizer.padding["pad_type_id"])
    found = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>"))
    return next((number for number in found if number is not None), 0), 0
