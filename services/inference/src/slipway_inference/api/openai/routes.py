"""OpenAI's protocol: /v1/embeddings, and /v1/models.

Errors have OpenAI's form, see `error_answers`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from slipway_core import errors
from slipway_inference.api import requests, responses
from slipway_inference.api.openai.embeddings import read_embeddings
from slipway_inference.http import bodies
from slipway_inference.http.json import dump_json
from slipway_inference.http.lean_route import LeanRoute
from slipway_inference.http.openapi import (
    COMPUTING,
    MODEL_PARAMETER,
    READING,
    TIMEOUT_PARAMETER,
    openai_errors,
    reference,
    success,
)
from slipway_inference.prediction.predicting import predict, whole
from slipway_inference.serving.service import Service

router = APIRouter(tags=["openai"], route_class=LeanRoute)

_OWNER = "slipway"


@router.post(
    "/v1/embeddings",
    summary="Embed texts",
    response_class=Response,
    responses={
        200: success(
            "A vector for each text, in order",
            responses.Embeddings,
            {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.0213, -0.0457]}],
                "model": "minilm",
                "usage": {"prompt_tokens": 9, "total_tokens": 9},
            },
        ),
        **openai_errors(*READING, *COMPUTING, errors.UnknownModality),
    },
    openapi_extra={
        "parameters": [TIMEOUT_PARAMETER],
        "requestBody": {
            "required": True,
            "content": {
                bodies.JSON: {
                    "schema": reference(requests.EmbeddingsRequest),
                    "example": {"model": "minilm", "input": ["first text", "second text"]},
                }
            },
        },
    },
)
async def create_embeddings(request: Request) -> Response:
    return Response(await predict(request, "text", whole(read_embeddings)), media_type=bodies.JSON)


@router.get(
    "/v1/models",
    summary="The model that is served",
    response_class=Response,
    responses={
        200: success("A list of one", responses.OpenAiModels),
        **openai_errors(errors.ModelNotReady),
    },
)
async def list_models(request: Request) -> Response:
    service: Service = request.app.state.service
    content = {"object": "list", "data": [_model_value(service)]}
    return Response(dump_json(content), media_type=bodies.JSON)


@router.get(
    "/v1/models/{model}",
    summary="The model of this name",
    response_class=Response,
    responses={
        200: success("It is served here", responses.OpenAiModel),
        **openai_errors(errors.ModelNotReady),
    },
    openapi_extra={"parameters": [MODEL_PARAMETER]},
)
async def read_model(request: Request) -> Response:
    service: Service = request.app.state.service
    service.check_model(request.path_params["model"])
    return Response(dump_json(_model_value(service)), media_type=bodies.JSON)


def _model_value(service: Service) -> dict[str, Any]:
    return {
        "id": service.manifest.name,
        "object": "model",
        "created": int(service.created_at.timestamp()),
        "owned_by": _OWNER,
    }
