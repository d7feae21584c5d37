"""POST /predict/{modality}: one prediction, at once."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from slipway_core.errors import UnknownModality
from slipway_inference.api.slipway import schemas
from slipway_inference.api.slipway.image_form import IMAGE_FORM_SCHEMA
from slipway_inference.api.slipway.inputs import PredictionInputs
from slipway_inference.http.bodies import BODY_ERRORS, JSON, MULTIPART
from slipway_inference.http.openapi import EXAMPLE_ID, error_responses, reference, success
from slipway_inference.http.problems import PROBLEMS
from slipway_inference.http.routing import LeanRoute
from slipway_inference.prediction.fields import unknown_modality
from slipway_inference.prediction.predictor import PREDICTION_ERRORS, Predictor, count_prediction
from slipway_inference.prediction.request import timeout_parameter

_EXAMPLE_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def create_router(
    inputs: PredictionInputs, predictor: Predictor, max_timeout_seconds: float
) -> APIRouter:
    """Return the routes of realtime predictions."""
    router = APIRouter(tags=["predict"], route_class=LeanRoute)
    timeout = timeout_parameter(max_timeout_seconds)

    @router.post("/predict/text", **_document_text(timeout))
    async def predict_text(request: Request) -> Response:
        return await predictor.respond(request, "text", inputs.read_text)

    @router.post("/predict/tabular", **_document_tabular(timeout))
    async def predict_tabular(request: Request) -> Response:
        return await predictor.respond(request, "tabular", inputs.read_tabular)

    @router.post("/predict/image", **_document_image(timeout))
    async def predict_image(request: Request) -> Response:
        return await predictor.respond(request, "image", inputs.read_image)

    @router.post("/predict/{modality}", include_in_schema=False)
    async def predict_unknown(request: Request) -> Response:
        error = unknown_modality(request.path_params["modality"])
        count_prediction("unknown", error)
        raise error

    return router


def _document_text(timeout: dict[str, Any]) -> dict[str, Any]:
    body = {
        "schema": reference(schemas.TextRequest, schemas.TextsRequest),
        "examples": {
            "embedding": {"value": {"input_text": "A ship slides down the slipway."}},
            "classification": {
                "value": {"input_text": "The match ended 2:1.", "labels": ["sports", "politics"]}
            },
            "several": {"value": {"inputs": ["first text", "second text"]}},
        },
    }
    response = success(
        "The prediction",
        (schemas.TextAnswer, schemas.TextsAnswer),
        _example("text", {"embedding": [0.0213, -0.0457, 0.0312]}),
    )
    return _document("Predict from a text", {JSON: body}, response, timeout)


def _document_tabular(timeout: dict[str, Any]) -> dict[str, Any]:
    body = {
        "schema": reference(schemas.TabularRequest),
        "examples": {
            "rows": {"value": {"inputs": [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]]}},
            "columns": {"value": {"inputs": {"length": [5.1, 6.2], "width": [3.5, 2.9]}}},
        },
    }
    rows = [{"output": [0.97, 0.02, 0.01]}, {"output": [0.01, 0.9, 0.09]}]
    response = success("The prediction", schemas.TabularAnswer, _example("tabular", {"rows": rows}))
    return _document("Predict from rows of a table", {JSON: body}, response, timeout)


def _document_image(timeout: dict[str, Any]) -> dict[str, Any]:
    body = {
        "schema": reference(schemas.ImageRequest),
        "examples": {"png": {"value": {"image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"}}},
    }
    response = success(
        "The prediction", schemas.ImageAnswer, _example("image", {"label": "boat", "score": 0.93})
    )
    content = {JSON: body, MULTIPART: {"schema": IMAGE_FORM_SCHEMA}}
    return _document("Predict from an image", content, response, timeout)


def _document(
    summary: str, content: dict[str, Any], response: dict[str, Any], timeout: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments that document a route in its decorator."""
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {
            200: response,
            **error_responses(PROBLEMS, *BODY_ERRORS, UnknownModality, *PREDICTION_ERRORS),
        },
        "openapi_extra": {
            "parameters": [timeout],
            "requestBody": {"required": True, "content": content},
        },
    }


def _example(modality: str, prediction: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": EXAMPLE_ID,
        "model": "minilm",
        "version": "1.0",
        "model_digest": _EXAMPLE_DIGEST,
        "modality": modality,
        "prediction": prediction,
        "latency_ms": 7.402,
    }
