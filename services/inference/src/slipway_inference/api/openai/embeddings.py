"""OpenAI's embeddings: their request as checked inputs, and their answer."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from slipway_core.errors import InvalidInput, UnknownModality
from slipway_core.inputs.items import Outcome
from slipway_core.inputs.parsing import parse_inputs
from slipway_inference.api.requests import EmbeddingsRequest
from slipway_inference.http.decoding import decode_as
from slipway_inference.http.json import dump_json
from slipway_inference.prediction.realtime import Asked, Prediction, check_count
from slipway_inference.serving.service import Service

_NO_TOKENS = (
    "must be a text: token ids are those of another model's tokenizer "
    "(LangChain: check_embedding_ctx_length=False)"
)
_embeddings = msgspec.json.Decoder(EmbeddingsRequest)


def read_embeddings(service: Service, body: bytes) -> Asked:
    """Texts for /v1/embeddings, as a `ReadBody`; raises UnknownModel and UnknownModality too."""
    asked = decode_as(_embeddings, body)
    service.check_model(asked.model)
    size = service.info.embedding_size
    if not size:
        raise UnknownModality(
            f"the model {asked.model} gives no embeddings; ask for its predictions below /predict"
        )
    if asked.dimensions not in (None, size):
        raise InvalidInput.at(
            "dimensions", f"must be {size}, the size of this model's vectors, or be left out"
        )
    render = partial(_render, asked.encoding_format or "float")
    if isinstance(asked.input, str):
        items = parse_inputs(service.manifest, "text", [("input", asked.input)])
        return Asked(items, "input", render=render)
    check_count(service, len(asked.input), "input")
    texts = [(f"input.{index}", text) for index, text in enumerate(asked.input)]
    for field, text in texts:
        if type(text) in (int, list):
            raise InvalidInput.at(field, _NO_TOKENS)
    items = parse_inputs(service.manifest, "text", texts)
    return Asked(items, "input", render=render)


def _render(encoding: str, prediction: Prediction, outcomes: Sequence[Outcome]) -> bytes:
    tokens = sum(outcome.tokens for outcome in outcomes)
    return dump_json(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _vector(outcome, encoding)}
                for index, outcome in enumerate(outcomes)
            ],
            "model": prediction.service.model_name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _vector(outcome: Outcome, encoding: str) -> Any:
    if encoding == "base64":
        return base64.b64encode(outcome.embedding).decode()
    return outcome.vector()
