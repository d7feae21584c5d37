"""The routes of OpenAI's protocol."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from slipway_core import errors
from slipway_inference.api.openai.embeddings import EmbeddingInputs
from slipway_inference.api.openai.errors import OPENAI_ERRORS
from slipway_inference.api.openai.schemas import (
    Embeddings,
    EmbeddingsRequest,
    OpenAiModel,
    OpenAiModels,
)
from slipway_inference.http.bodies import BODY_ERRORS, JSON
from slipway_inference.http.json import json_response
from slipway_inference.http.openapi import error_responses, parameter, reference, success
from slipway_inference.http.routing import LeanRoute
from slipway_inference.prediction.predictor import PREDICTION_ERRORS, Predictor
from slipway_inference.prediction.request import timeout_parameter
from slipway_inference.serving.served_model import ServedModel

OWNER = "slipway"
_LIST_MODELS: dict[str, Any] = {
    "summary": "The model that is served",
    "response_class": Response,
    "responses": {
        200: success("A list of one", OpenAiModels),
        **error_responses(OPENAI_ERRORS, errors.ModelNotReady),
    },
}
_READ_MODEL: dict[str, Any] = {
    "summary": "The model of this name",
    "response_class": Response,
    "responses": {
        200: success("It is served here", OpenAiModel),
        **error_responses(OPENAI_ERRORS, errors.ModelNotReady),
    },
    "openapi_extra": {
        "parameters": [parameter("model", "path", {"type": "string"}, required=True)]
    },
}


def create_router(
    model: ServedModel, inputs: EmbeddingInputs, predictor: Predictor, max_timeout_seconds: float
) -> APIRouter:
    """Return the routes under /v1."""
    router = APIRouter(tags=["openai"], route_class=LeanRoute)
    created_at = int(datetime.now(UTC).timestamp())

    def model_value() -> dict[str, Any]:
        return {
            "id": model.manifest.name,
            "object": "model",
            "created": created_at,
            "owned_by": OWNER,
        }

    @router.post("/v1/embeddings", **_document_embeddings(max_timeout_seconds))
    async def create_embeddings(request: Request) -> Response:
        return await predictor.respond(request, "text", inputs.read)

    @router.get("/v1/models", **_LIST_MODELS)
    async def list_models(request: Request) -> Response:
        return json_response({"object": "list", "data": [model_value()]})

    @router.get("/v1/models/{model}", **_READ_MODEL)
    async def read_model(request: Request) -> Response:
        model.check_name(request.path_params["model"])
        return json_response(model_value())

    return router


def _document_embeddings(max_timeout_seconds: float) -> dict[str, Any]:
    example = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.0213, -0.0457]}],
        "model": "minilm",
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }
    body = {
        "schema": reference(EmbeddingsRequest),
        "example": {"model": "minilm", "input": ["first text", "second text"]},
    }
    return {
        "summary": "Embed texts",
        "response_class": Response,
        "responses": {
            200: success("A vector for each text, in order", Embeddings, example),
            **error_responses(
                OPENAI_ERRORS, *BODY_ERRORS, *PREDICTION_ERRORS, errors.UnknownModality
            ),
        },
        "openapi_extra": {
            "parameters": [timeout_parameter(max_timeout_seconds)],
            "requestBody": {"required": True, "content": {JSON: body}},
        },
    }
