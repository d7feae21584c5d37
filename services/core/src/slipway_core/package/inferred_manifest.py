"""Infers the manifest of a folder without slipway.yaml that holds a Hugging Face BERT model."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from slipway_core.errors import ModelInvalid, PickleRefused
from slipway_core.package.json_file import read_json
from slipway_core.package.manifest import MANIFEST_NAME, Files, Manifest

T = TypeVar("T")


class _Config(msgspec.Struct, frozen=True):
    model_type: str | None = None
    architectures: list[str] | None = None
    max_position_embeddings: int | None = None


class _SentenceConfig(msgspec.Struct, frozen=True):
    max_seq_length: int | None = None


def infer_manifest(folder: Path, *, name: str, version: str) -> Manifest:
    """Return a text-embedding manifest for the folder.

    Raises ModelInvalid that names what is missing, and PickleRefused for pickled weights.
    """
    config = _read(folder / "config.json", _Config)
    if config is None:
        raise ModelInvalid(
            f"the package has no {MANIFEST_NAME}, nor a config.json to infer one from: "
            f"write a {MANIFEST_NAME} (docs/models.md)"
        )
    kind = config.model_type
    if kind != "bert":
        raise ModelInvalid(
            f"the package has no {MANIFEST_NAME}, and its config.json says model_type {kind!r}: "
            "without one only `bert` is served; export it, or write a python model (docs/models.md)"
        )
    architectures = config.architectures or ["BertModel"]
    if architectures[0] not in ("BertModel", "BertForMaskedLM"):
        raise ModelInvalid(
            f"the package has no {MANIFEST_NAME}, and its config.json says {architectures[0]}, "
            "which does not give embeddings: export it to torch-export or torchscript "
            "(docs/models.md)"
        )
    if not (folder / "tokenizer.json").is_file():
        raise ModelInvalid(
            "the package has no tokenizer.json: save the fast tokenizer beside config.json"
        )
    return Manifest(
        name=name,
        version=version,
        task="text-embedding",
        runtime="bert",
        max_input_tokens=_max_input_tokens(folder, config),
        files=Files(weights=_find_weights(folder)),
    )


def _find_weights(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    if "model.safetensors" in names:
        return "model.safetensors"
    if len(names) == 1:
        return names[0]
    if names:
        raise ModelInvalid(
            f"the package has several weights ({', '.join(names)}): "
            "merge them into model.safetensors"
        )
    if list(folder.glob("*.bin")) or list(folder.glob("*.pth")):
        raise PickleRefused(
            "the package has only pickled weights: convert them to model.safetensors"
        )
    raise ModelInvalid("the package has no *.safetensors")


def _max_input_tokens(folder: Path, config: _Config) -> int:
    """Return where sentence-transformers truncates, but at most the number of positions."""
    sentence = _read(folder / "sentence_bert_config.json", _SentenceConfig) or _SentenceConfig()
    limits = [n for n in (sentence.max_seq_length, config.max_position_embeddings) if n and n > 0]
    return min(limits, default=0)


def _read(path: Path, kind: type[T]) -> T | None:
    """Read the object in a JSON file; None when there is no such file."""
    return read_json(path, kind) if path.exists() else None
