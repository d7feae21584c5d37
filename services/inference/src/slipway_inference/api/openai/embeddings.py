"""OpenAI's embeddings: the request as validated inputs, and the response."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from slipway_core.errors import InvalidInput, UnknownModality
from slipway_core.inputs.items import Outcome
from slipway_core.inputs.parsing import parse_inputs
from slipway_inference.api.openai.schemas import EmbeddingsRequest
from slipway_inference.http.bodies import Body, BodyReader
from slipway_inference.http.json import decode_as, encoded_list, json_response
from slipway_inference.prediction.request import Answer, PredictionRequest, check_count
from slipway_inference.serving.served_model import ServedModel

_NO_TOKENS = (
    "must be a text: token ids are those of another model's tokenizer "
    "(LangChain: check_embedding_ctx_length=False)"
)
_embeddings = msgspec.json.Decoder(EmbeddingsRequest)


class EmbeddingInputs:
    """Reads requests for the embeddings of one model."""

    def __init__(self, model: ServedModel, bodies: BodyReader, max_items: int) -> None:
        self._model = model
        self._bodies = bodies
        self._max_items = max_items

    async def read(self, request: Request) -> PredictionRequest:
        """Read one text, or several.

        Raises InvalidInput, MalformedBody, PayloadTooLarge, UnsupportedMediaType, UnknownModel,
        UnknownModality and ModelNotReady.
        """
        content = await self._bodies.read_json(request)
        return await self._bodies.parse(request, content, self._parse)

    def _parse(self, content: Body) -> PredictionRequest:
        body = decode_as(_embeddings, content, limits=self._bodies.json_limits)
        self._check_model(body)
        manifest = self._model.manifest
        items = parse_inputs(manifest, "text", self._texts(body))
        render = partial(_respond, self._model.name, body.encoding_format or "float")
        return PredictionRequest.of(manifest, items, "input", render, size=len(content))

    def _check_model(self, body: EmbeddingsRequest) -> None:
        self._model.check_name(body.model)
        size = self._model.info.embedding_size
        if not size:
            raise UnknownModality(
                f"the model {body.model} gives no embeddings; ask for its predictions below "
                "/predict"
            )
        if body.dimensions not in (None, size):
            raise InvalidInput.at(
                "dimensions", f"must be {size}, the size of this model's vectors, or be left out"
            )

    def _texts(self, body: EmbeddingsRequest) -> list[tuple[str, Any]]:
        """Return each text after the path of its field."""
        if isinstance(body.input, str):
            return [("input", body.input)]
        check_count(len(body.input), self._max_items, "input")
        texts = [(f"input.{index}", text) for index, text in enumerate(body.input)]
        for field, text in texts:
            if type(text) in (int, list):
                raise InvalidInput.at(field, _NO_TOKENS)
        return texts


def _respond(model: str, encoding: str, answer: Answer) -> Response:
    tokens = sum(outcome.tokens for outcome in answer.outcomes)
    return json_response(
        {
            "object": "list",
            "data": encoded_list(
                [
                    {"object": "embedding", "index": index, "embedding": _vector(outcome, encoding)}
                    for index, outcome in enumerate(answer.outcomes)
                ]
            ),
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _vector(outcome: Outcome, encoding: str) -> Any:
    """Return the float32 array [size] of an embedding, or its bytes in base64."""
    if encoding == "base64":
        return base64.b64encode(outcome.embedding).decode()
    return outcome.vector()
