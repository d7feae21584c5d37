"""The configuration of an encoder and of the use of its output.

Reads the files of the Hugging Face and sentence-transformers layouts. All that the forward pass
relies on is checked, so that an unsupported package fails at load and is not computed wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from slipway_core.errors import ModelInvalid
from slipway_core.package.file_names import package_path
from slipway_core.package.json_file import read_json
from slipway_core.package.manifest import Manifest

Pooling = Literal["mean", "cls"]

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


class EncoderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The content of config.json. Keys that the forward pass does not need are ignored."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "absolute"
    model_type: str = "bert"
    pad_token_id: int | None = 0
    id2label: dict[str, str] = {}
    problem_type: str | None = None

    @property
    def activation(self) -> str:
        """The activation between the two products of a layer: gelu, gelu_tanh or relu."""
        return ACTIVATIONS[self.hidden_act]

    @property
    def head_size(self) -> int:
        """The width of one attention head."""
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """How texts are tokenized, and how token vectors are pooled to one vector."""

    pooling: Pooling = "mean"
    normalize: bool = False
    max_input_tokens: int = 512
    lower_case: bool = False


class _Module(msgspec.Struct, frozen=True):
    path: str
    type: str


class _SentenceConfig(msgspec.Struct, frozen=True):
    max_seq_length: int | None = None
    do_lower_case: bool = False


def read_encoder_config(path: Path) -> EncoderConfig:
    """Read config.json. Raises ModelInvalid for an encoder that this runtime does not support."""
    config = read_json(path, EncoderConfig)
    sizes = {
        name: getattr(config, name)
        for name in (
            "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "vocab_size", "max_position_embeddings", "type_vocab_size",
        )
    }  # fmt: skip
    for name, size in sizes.items():
        if size < 1:
            raise _invalid(path, name, f"must be at least 1, not {size}")
    if config.model_type != "bert":
        raise _invalid(
            path, "model_type", f"must be 'bert' for this runtime, not '{config.model_type}'"
        )
    if config.position_embedding_type != "absolute":
        raise _invalid(
            path,
            "position_embedding_type",
            f"must be 'absolute', not '{config.position_embedding_type}'",
        )
    if config.hidden_act not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise _invalid(path, "hidden_act", f"must be one of {known}, not '{config.hidden_act}'")
    if config.hidden_size % config.num_attention_heads:
        raise _invalid(path, "hidden_size", "must be a multiple of `num_attention_heads`")
    return config


def read_output_config(folder: Path, manifest: Manifest, encoder: EncoderConfig) -> OutputConfig:
    """Read modules.json, the pooling's config.json and sentence_bert_config.json if they exist.

    A package without modules.json gets mean pooling without normalisation. Raises ModelInvalid for
    a module or a pooling that this runtime does not support.
    """
    pooling: Pooling = "mean"
    normalize = False
    modules = folder / "modules.json"
    for module in read_json(modules, list[_Module]) if modules.is_file() else ():
        kind = module.type.rpartition(".")[2]
        if kind == "Pooling":
            pooling = _read_pooling(folder / _module_folder(modules, module) / "config.json")
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise ModelInvalid(f"{modules}: this runtime does not support the module {kind}")
    path = (folder / manifest.files.config).parent / "sentence_bert_config.json"
    sentence = read_json(path, _SentenceConfig) if path.is_file() else _SentenceConfig()
    positions = encoder.max_position_embeddings
    max_tokens = min(manifest.max_input_tokens or sentence.max_seq_length or positions, positions)
    if max_tokens < 3:
        raise ModelInvalid("`max_input_tokens` must be at least 3: two tokens frame each text")
    return OutputConfig(pooling, normalize, max_tokens, sentence.do_lower_case)


def _module_folder(modules: Path, module: _Module) -> PurePosixPath:
    try:
        return package_path(module.path)
    except ValueError as error:
        raise _invalid(modules, "path", str(error)) from None


def read_labels(manifest: Manifest, encoder: EncoderConfig, count: int) -> list[str]:
    """Return the labels of a classifier in the order of its `count` outputs.

    They come from the manifest or else from `id2label`. Raises ModelInvalid unless there are
    `count`.
    """
    labels = manifest.labels
    if not labels:
        try:
            labels = [encoder.id2label[str(index)] for index in range(count)]
        except KeyError as error:
            raise ModelInvalid(
                f"`id2label` of config.json has no label for class {error}"
            ) from None
    if len(labels) != count:
        raise ModelInvalid(f"`labels` has {len(labels)} names, and the classifier {count} outputs")
    return labels


def _read_pooling(path: Path) -> Pooling:
    modes = read_json(path, dict[str, Any])
    chosen = [key for key, on in modes.items() if key.startswith("pooling_mode_") and on is True]
    if isinstance(modes.get("pooling_mode"), str):
        chosen = [modes["pooling_mode"]]
    if chosen in (["pooling_mode_mean_tokens"], ["mean"]):
        return "mean"
    if chosen in (["pooling_mode_cls_token"], ["cls"]):
        return "cls"
    names = ", ".join(map(str, chosen)) or "none"
    raise ModelInvalid(f"{path}: the pooling must be mean or cls, not {names}")


def _invalid(path: Path, key: str, rule: str) -> ModelInvalid:
    return ModelInvalid(f"{path}: `{key}` {rule}")
