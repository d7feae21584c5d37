"""Infers the manifest of a folder without slipway.yaml that holds a Hugging Face BERT model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slipway_core.errors import ModelInvalid, PickleRefused
from slipway_core.package.manifest import MANIFEST_NAME, Files, Manifest

MAX_JSON_BYTES = 16 * 1024 * 1024


def infer_manifest(folder: Path, *, name: str, version: str) -> Manifest:
    """Return a text-embedding manifest for the folder.

    Raises ModelInvalid that names what is missing, and PickleRefused for pickled weights.
    """
    config = _read_json(folder / "config.json")
    if config is None:
        raise ModelInvalid(
            f"the package has no {MANIFEST_NAME}, nor a config.json to infer one from: "
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


def _max_input_tokens(folder: Path, config: dict[str, Any]) -> int:
    """Return where sentence-transformers truncates, but at most the number of positions."""
    sentence = _read_json(folder / "sentence_bert_config.json") or {}
    positions = config.get("max_position_embeddings")
    limits = [
        n for n in (sentence.get("max_seq_length"), positions) if isinstance(n, int) and n > 0
    ]
    return min(limits, default=0)


def _read_json(path: Path) -> dict[str, Any] | None:
    """Read the object in a JSON file; None when there is no such file."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MAX_JSON_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelInvalid(f"{path.name} of the package cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ModelInvalid(f"{path.name} of the package must hold an object")
    return content
