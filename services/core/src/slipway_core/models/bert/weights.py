"""Reads an encoder's weights from safetensors, checks their shapes, and merges products.

The file is memory-mapped, so that engines on one machine share the pages of tensors that are used
as they are (the word embeddings, the largest part of a small model). It must not be rewritten while
it is served.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from slipway_core.errors import ModelInvalid
from slipway_core.models.bert.config import EncoderConfig

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""The header takes about 100 bytes for each tensor."""
WORDS = "embeddings.word_embeddings.weight"
_OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


@dataclass(frozen=True, slots=True)
class Affine:
    """A weight and a bias: [out, in] and [out] of a product, [width] and [width] of a LayerNorm."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One encoder layer. `qkv` computes queries, scaled by 1 / sqrt(head size), keys and values."""

    qkv: Affine
    output: Affine
    output_norm: Affine
    up: Affine
    down: Affine
    down_norm: Affine


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """The encoder's weights in float32.

    `words` is [vocabulary, hidden]. `positions`, [positions, hidden], includes the embedding of
    token type 0, the only one for single texts.
    """

    words: Tensor
    positions: Tensor
    embedding_norm: Affine
    layers: tuple[LayerWeights, ...]


@dataclass(frozen=True, slots=True)
class ClassifierWeights:
    """The head of a text classifier: a dense layer with tanh for the first token, then classes."""

    pooler: Affine
    classes: Affine


class WeightsFile:
    """The tensors of a safetensors file, by name without the prefix of the model's class."""

    def __init__(self, path: Path) -> None:
        """Map the file. Raises ModelInvalid when it is not safetensors or holds no BERT encoder."""
        self._path = path
        _check_header(path)
        try:
            file: Any = safe_open(path, framework="pt")
            self._names = set(file.keys())
        except (SafetensorError, OSError) as error:
            raise ModelInvalid(f"{path} cannot be read as safetensors: {error}") from None
        self._file = file
        prefixes = [name[: -len(WORDS)] for name in self._names if name.endswith(WORDS)]
        if len(prefixes) != 1:
            raise ModelInvalid(f"{path} must hold one tensor {WORDS}, and holds {len(prefixes)}")
        self._prefix = prefixes[0]

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def tensor(self, name: str, *shape: int) -> Tensor:
        """Read a tensor as float32. Raises ModelInvalid when it is missing or of another shape."""
        full_name = self._find(name)
        if full_name is None:
            raise ModelInvalid(f"{self._path} has no tensor {self._prefix}{name}")
        tensor: Tensor = self._file.get_tensor(full_name)
        if tuple(tensor.shape) != shape:
            raise ModelInvalid(
                f"{self._path}: the tensor {full_name} must have the shape {list(shape)} "
                f"by config.json, not {list(tensor.shape)}"
            )
        if not tensor.is_floating_point():
            raise ModelInvalid(
                f"{self._path}: the tensor {full_name} must hold floating-point numbers"
            )
        return tensor.to(torch.float32)

    def affine(self, name: str, *shape: int) -> Affine:
        """Read `name.weight` of this shape and `name.bias` of its first size."""
        weight = self.tensor(f"{name}.weight", *shape)
        return Affine(weight, self.tensor(f"{name}.bias", shape[0]))

    def count_rows(self, name: str) -> int:
        """Return the first size of a tensor that exists."""
        return int(self._file.get_slice(self._find(name)).get_shape()[0])

    def _find(self, name: str) -> str | None:
        for old in ("", *_OLD_NAMES):
            other = name.replace(old, _OLD_NAMES[old]) if old else name
            for prefixed in (self._prefix + other, other):
                if prefixed in self._names:
                    return prefixed
        return None


def _check_header(path: Path) -> None:
    """Check the size of the header, which the first eight bytes of the file state.

    Raises ModelInvalid. The library would parse up to 100 MB of JSON.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror}") from None
    if size > MAX_HEADER_BYTES:
        raise ModelInvalid(
            f"{path} cannot be read as safetensors: its header has {size} bytes, and may have "
            f"{MAX_HEADER_BYTES}"
        )


def read_encoder_weights(file: WeightsFile, config: EncoderConfig) -> EncoderWeights:
    """Read the encoder. Raises ModelInvalid that names a missing or misshapen tensor."""
    hidden = config.hidden_size
    positions = file.tensor(
        "embeddings.position_embeddings.weight", config.max_position_embeddings, hidden
    )
    types = file.tensor("embeddings.token_type_embeddings.weight", config.type_vocab_size, hidden)
    return EncoderWeights(
        words=file.tensor(WORDS, config.vocab_size, hidden),
        positions=positions + types[0],
        embedding_norm=file.affine("embeddings.LayerNorm", hidden),
        layers=tuple(
            _read_layer(file, config, f"encoder.layer.{index}")
            for index in range(config.num_hidden_layers)
        ),
    )


def read_classifier_weights(file: WeightsFile, config: EncoderConfig) -> ClassifierWeights | None:
    """Read the classification head; None when the package holds only an encoder."""
    if "classifier.weight" not in file:
        return None
    hidden, classes = config.hidden_size, file.count_rows("classifier.weight")
    return ClassifierWeights(
        pooler=file.affine("pooler.dense", hidden, hidden),
        classes=file.affine("classifier", classes, hidden),
    )


def _read_layer(file: WeightsFile, config: EncoderConfig, name: str) -> LayerWeights:
    hidden, inner = config.hidden_size, config.intermediate_size
    query, key, value = (
        file.affine(f"{name}.attention.self.{part}", hidden, hidden)
        for part in ("query", "key", "value")
    )
    scale = config.head_size**-0.5
    return LayerWeights(
        qkv=Affine(
            torch.cat((query.weight * scale, key.weight, value.weight)),
            torch.cat((query.bias * scale, key.bias, value.bias)),
        ),
        output=file.affine(f"{name}.attention.output.dense", hidden, hidden),
        output_norm=file.affine(f"{name}.attention.output.LayerNorm", hidden),
        up=file.affine(f"{name}.intermediate.dense", inner, hidden),
        down=file.affine(f"{name}.output.dense", hidden, inner),
        down_norm=file.affine(f"{name}.output.LayerNorm", hidden),
    )
