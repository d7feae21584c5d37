"""The manifest of a folder without slipway.yaml that is laid out like a Hugging Face BERT model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slipway_core.errors import ModelInvalid, PickleRefused
from slipway_core.package.manifest import MANIFEST_NAME, Files, Manifest

LARGEST_JSON_BYTES = 16 * 1024 * 1024


def infer_manifest(folder: Path, *, name: str, version: str) -> Manifest:
    """A text-embedding manifest for the folder. Raises ModelInvalid saying what is missing from
    such a layout.
    """
    config = _read_json(folder / "config.json")
    if config is None:
        raise ModelInvalid(
            f"the package has no {MANIFEST_NAME}, nor a config.json to go by: "
            f"write a {MANIFEST_NAME} (docs/models.md)"
        )
    kind = config.get("model_type")
    if kind != "bert":
        raise ModelInvalid(
            f"the package has no {MANIFEST_NAME}, and its config.json says model_type {kind!r}: "
            "without one only `bert` is served; export it, or write a python model (docs/models.md)"
        )
    architectures = config.get("architectures") or ["BertModel"]
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
        max_input_tokens=_longest(folder, config),
        files=Files(weights=_weights(folder)),
    )


def _weights(folder: Path) -> str:
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if "model.safetensors" in found:
        return "model.safetensors"
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelInvalid(
            f"the package has several weights ({', '.join(found)}): "
            "merge them into model.safetensors"
        )
    if list(folder.glob("*.bin")) or list(folder.glob("*.pth")):
        raise PickleRefused(
            "the package has only pickled weights: convert them to model.safetensors"
        )
    raise ModelInvalid("the package has no *.safetensors")


def _longest(folder: Path, config: dict[str, Any]) -> int:
    """Tokens of the longest input: what sentence-transformers cuts at, but never more than there
    are positions.
    """
    sentence = _read_json(folder / "sentence_bert_config.json") or {}
    positions = config.get("max_position_embeddings")
    lengths = [
        n for n in (sentence.get("max_seq_length"), positions) if isinstance(n, int) and n > 0
    ]
    return min(lengths, default=0)


def _read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None when there is no such file."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LARGEST_JSON_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelInvalid(f"{path.name} of the package cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ModelInvalid(f"{path.name} of the package must hold an object")
    return content
