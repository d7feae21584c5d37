"""The routes of the Open Inference Protocol: health, metadata and inference of the model."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

import slipway_core
from slipway_core import errors
from slipway_core.package.manifest import TensorSpec
from slipway_inference.api.open_inference import schemas
from slipway_inference.api.open_inference.errors import INFERENCE_ERRORS
from slipway_inference.api.open_inference.inference import JSON_LENGTH_PARAMETER, InferenceInputs
from slipway_inference.api.open_inference.input_tensors import input_specs
from slipway_inference.api.open_inference.output_tensors import output_specs
from slipway_inference.api.open_inference.request_body import InferRequest
from slipway_inference.http.bodies import BINARY, BODY_ERRORS, JSON
from slipway_inference.http.json import json_response
from slipway_inference.http.openapi import error_responses, parameter, reference, success
from slipway_inference.http.routing import LeanRoute
from slipway_inference.prediction.predictor import PREDICTION_ERRORS, Predictor
from slipway_inference.prediction.request import timeout_parameter
from slipway_inference.serving.lifecycle import Lifecycle
from slipway_inference.serving.served_model import ServedModel

MODEL = "/v2/models/{model}"
MODEL_VERSION = "/v2/models/{model}/versions/{version}"
_MODEL_PARAMETER = parameter("model", "path", {"type": "string"}, required=True)


def create_router(
    model: ServedModel,
    lifecycle: Lifecycle,
    inputs: InferenceInputs,
    predictor: Predictor,
    max_timeout_seconds: float,
) -> APIRouter:
    """Return the routes under /v2."""
    router = APIRouter(tags=["open inference protocol"], route_class=LeanRoute)
    _add_server_routes(router, lifecycle)
    _add_model_routes(router, model, lifecycle, inputs)

    @router.post(f"{MODEL}/infer", **_document_infer(max_timeout_seconds))
    @router.post(f"{MODEL_VERSION}/infer", include_in_schema=False)
    async def infer(request: Request) -> Response:
        return await predictor.respond(request, inputs.modality(), inputs.read)

    return router


def _add_server_routes(router: APIRouter, lifecycle: Lifecycle) -> None:
    @router.get("/v2", **_SERVER)
    @router.get("/v2/", include_in_schema=False)
    async def read_server(request: Request) -> Response:
        return json_response(
            {
                "name": "slipway",
                "version": slipway_core.__version__,
                "extensions": ["binary_tensor_data"],
            }
        )

    @router.get("/v2/health/live", **_LIVE)
    async def read_liveness(request: Request) -> Response:
        return json_response({"live": True})

    @router.get("/v2/health/ready", **_READY)
    async def read_readiness(request: Request) -> Response:
        lifecycle.check_ready()
        # The protocol says `live`; its clients read `ready`.
        return json_response({"live": True, "ready": True})


def _add_model_routes(
    router: APIRouter, model: ServedModel, lifecycle: Lifecycle, inputs: InferenceInputs
) -> None:
    @router.get(MODEL, **_MODEL_METADATA)
    @router.get(MODEL_VERSION, include_in_schema=False)
    async def read_metadata(request: Request) -> Response:
        inputs.check_model(request)
        manifest = model.manifest
        return json_response(
            {
                "name": manifest.name,
                "versions": [manifest.version],
                "platform": f"pytorch_{manifest.runtime.replace('-', '_')}",
                "inputs": [_spec_value(spec) for spec in input_specs(manifest)],
                "outputs": [_spec_value(spec) for spec in output_specs(model.info)],
            }
        )

    @router.get(f"{MODEL}/ready", **_MODEL_READY)
    @router.get(f"{MODEL_VERSION}/ready", include_in_schema=False)
    async def read_model_readiness(request: Request) -> Response:
        inputs.check_model(request)
        lifecycle.check_ready()
        return json_response({"name": model.name, "ready": True})


def _spec_value(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _document(
    summary: str,
    description: str,
    schema: type[msgspec.Struct],
    *kinds: type[errors.SlipwayError],
) -> dict[str, Any]:
    """Return the arguments that document a route without a body in its decorator."""
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {
            200: success(description, schema),
            **error_responses(INFERENCE_ERRORS, *kinds),
        },
    }


def _with_model(document: dict[str, Any]) -> dict[str, Any]:
    """Add the model in the path to a route's documentation."""
    return {**document, "openapi_extra": {"parameters": [_MODEL_PARAMETER]}}


_UNREADY = (errors.ModelNotReady, errors.Draining)
_SERVER = _document("The server", "Name, version and extensions", schemas.ServerMetadata)
_LIVE = _document("Whether the server is live", "It is", schemas.ServerHealth)
_READY = _document("Whether the model is ready", "It is", schemas.ServerHealth, *_UNREADY)
_MODEL_METADATA = _with_model(
    _document(
        "The tensors of the model",
        "Their names, datatypes and shapes",
        schemas.ModelMetadata,
        errors.ModelNotReady,
    )
)
_MODEL_READY = _with_model(
    _document("Whether the model of this name is ready", "It is", schemas.ModelReady, *_UNREADY)
)


def _document_infer(max_timeout_seconds: float) -> dict[str, Any]:
    outputs = [
        {"name": "embedding", "datatype": "FP32", "shape": [1, 2], "data": [0.0213, -0.0457]}
    ]
    example = {"model_name": "minilm", "model_version": "1.0", "id": "1", "outputs": outputs}
    text = {
        "name": "text",
        "shape": [1],
        "datatype": "BYTES",
        "data": ["A ship slides down the slipway."],
    }
    return {
        "summary": "Predict from tensors",
        "response_class": Response,
        "responses": {
            200: success("The output tensors", schemas.InferAnswer, example),
            **error_responses(INFERENCE_ERRORS, *BODY_ERRORS, *PREDICTION_ERRORS),
        },
        "openapi_extra": {
            "parameters": [
                _MODEL_PARAMETER,
                timeout_parameter(max_timeout_seconds),
                JSON_LENGTH_PARAMETER,
            ],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {"schema": reference(InferRequest), "example": {"inputs": [text]}},
                    BINARY: {"schema": {"type": "string", "format": "binary"}},
                },
            },
        },
    }
