"""The Open Inference Protocol, version 2: health, metadata and inference of the model.

Errors have the protocol's form, see `error_answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

import slipway_core
from slipway_core import errors
from slipway_core.errors import MalformedBody
from slipway_core.inputs.items import Outcome
from slipway_core.package.manifest import TensorSpec
from slipway_inference.api import responses
from slipway_inference.api.open_inference.answers import wanted_outputs, write_answer
from slipway_inference.api.open_inference.inputs import input_specs, match_tensors, to_items
from slipway_inference.api.open_inference.outputs import output_specs, to_tensors
from slipway_inference.api.open_inference.requests import (
    BINARY_OUTPUT,
    InferRequest,
    InputTensor,
    read_request,
)
from slipway_inference.http import bodies
from slipway_inference.http.context import context_of
from slipway_inference.http.json import dump_json
from slipway_inference.http.lean_route import LeanRoute
from slipway_inference.http.openapi import (
    COMPUTING,
    MODEL_PARAMETER,
    READING,
    TIMEOUT_PARAMETER,
    inference_errors,
    reference,
    success,
)
from slipway_inference.prediction.predicting import predict
from slipway_inference.prediction.realtime import Asked, Prediction, check_count
from slipway_inference.serving.service import Service

router = APIRouter(tags=["open inference protocol"], route_class=LeanRoute)

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"


def _at(path: str) -> tuple[str, str]:
    """The paths of a model's resource, without and with the version of the model."""
    return f"/v2/models/{{model}}{path}", f"/v2/models/{{model}}/versions/{{version}}{path}"


@router.get(
    "/v2",
    summary="What speaks here",
    response_class=Response,
    responses={
        200: success("The server and its extensions", responses.ServerMetadata),
        **inference_errors(),
    },
)
@router.get("/v2/", include_in_schema=False)
async def read_server(request: Request) -> Response:
    return _json(
        {
            "name": "slipway",
            "version": slipway_core.__version__,
            "extensions": ["binary_tensor_data"],
        }
    )


@router.get(
    "/v2/health/live",
    summary="Whether the process runs",
    response_class=Response,
    responses={200: success("It does", responses.ServerHealth), **inference_errors()},
)
async def read_liveness(request: Request) -> Response:
    return _json({"live": True})


@router.get(
    "/v2/health/ready",
    summary="Whether the model answers",
    response_class=Response,
    responses={
        200: success("It does", responses.ServerHealth),
        **inference_errors(errors.ModelNotReady, errors.Draining),
    },
)
async def read_readiness(request: Request) -> Response:
    service: Service = request.app.state.service
    service.check_ready()
    return _json({"live": True, "ready": True})  # the protocol says one, its clients read the other


METADATA, METADATA_OF_VERSION = _at("")
READY, READY_OF_VERSION = _at("/ready")
INFER, INFER_OF_VERSION = _at("/infer")


@router.get(
    METADATA,
    summary="The tensors of the model",
    response_class=Response,
    responses={
        200: success("Their names, datatypes and shapes", responses.ModelMetadata),
        **inference_errors(errors.ModelNotReady),
    },
    openapi_extra={"parameters": [MODEL_PARAMETER]},
)
@router.get(METADATA_OF_VERSION, include_in_schema=False)
async def read_metadata(request: Request) -> Response:
    service = _service_of(request)
    manifest = service.manifest
    return _json(
        {
            "name": manifest.name,
            "versions": [manifest.version],
            "platform": f"pytorch_{manifest.runtime.replace('-', '_')}",
            "inputs": [_spec_value(spec) for spec in input_specs(manifest)],
            "outputs": [_spec_value(spec) for spec in output_specs(service.info)],
        }
    )


@router.get(
    READY,
    summary="Whether the model of this name answers",
    response_class=Response,
    responses={
        200: success("It does", responses.ModelReady),
        **inference_errors(errors.ModelNotReady, errors.Draining),
    },
    openapi_extra={"parameters": [MODEL_PARAMETER]},
)
@router.get(READY_OF_VERSION, include_in_schema=False)
async def read_model_readiness(request: Request) -> Response:
    service = _service_of(request)
    service.check_ready()
    return _json({"name": service.model_name, "ready": True})


@router.post(
    INFER,
    summary="Predict from tensors",
    response_class=Response,
    responses={
        200: success(
            "The tensors that come out",
            responses.InferAnswer,
            {
                "model_name": "minilm",
                "model_version": "1.0",
                "id": "1",
                "outputs": [
                    {
                        "name": "embedding",
                        "datatype": "FP32",
                        "shape": [1, 2],
                        "data": [0.0213, -0.0457],
                    }
                ],
            },
        ),
        **inference_errors(*READING, *COMPUTING),
    },
    openapi_extra={
        "parameters": [
            MODEL_PARAMETER,
            TIMEOUT_PARAMETER,
            {
                "name": JSON_LENGTH_HEADER,
                "in": "header",
                "description": "How many bytes of the body are JSON, where raw tensors follow.",
                "schema": {"type": "integer", "minimum": 0},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                bodies.JSON: {
                    "schema": reference(InferRequest),
                    "example": {
                        "inputs": [
                            {
                                "name": "text",
                                "shape": [1],
                                "datatype": "BYTES",
                                "data": ["A ship slides down the slipway."],
                            }
                        ]
                    },
                },
                bodies.BINARY: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
)
@router.post(INFER_OF_VERSION, include_in_schema=False)
async def infer(request: Request) -> Response:
    json_length: int | None = None

    async def read(service: Service, request: Request) -> Asked:
        _service_of(request)
        asked, tensors = await _read(service, request)
        matched = match_tensors(service.manifest, tensors)
        check_count(service, matched.rows, f"{matched.field}.shape")
        specs = output_specs(service.info, by_labels=matched.labels is not None)
        wanted = wanted_outputs(asked, [spec.name for spec in specs])
        items = to_items(service.manifest, matched, _model_parameters(asked))
        render_asked = partial(render, asked.id, wanted)
        return Asked(items, f"{matched.field}.data", render=render_asked)

    def render(
        id: str | None,
        wanted: dict[str, bool],
        prediction: Prediction,
        outcomes: Sequence[Outcome],
    ) -> bytes:
        nonlocal json_length
        manifest = prediction.service.manifest
        head = {
            "model_name": manifest.name,
            "model_version": manifest.version,
            "id": id or str(prediction.id),
        }
        body, json_length = write_answer(head, to_tensors(manifest, outcomes), wanted)
        return body

    answer = await predict(request, _modality(request.app.state.service), read)
    if json_length is None:
        return Response(answer, media_type=bodies.JSON)
    headers = {JSON_LENGTH_HEADER: str(json_length)}
    return Response(answer, headers=headers, media_type=bodies.BINARY)


async def _read(service: Service, request: Request) -> tuple[InferRequest, list[InputTensor]]:
    # Whatever the Content-Type: clients send none, or curl's own.
    context, settings = context_of(request.scope), service.settings
    length = context.header(JSON_LENGTH_HEADER.lower().encode())
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 20):
        raise MalformedBody(f"{JSON_LENGTH_HEADER} must be a number of bytes")
    packed = await bodies.read_body(request, settings, service.body_memory)
    body = bodies.unpacked(context, packed, settings.max_body_bytes)
    return read_request(body, None if length is None else int(length))


def _service_of(request: Request) -> Service:
    """The service, when it has the model and the version that the path names."""
    service: Service = request.app.state.service
    service.check_model(request.path_params["model"], request.path_params.get("version", ""))
    return service


def _modality(service: Service) -> str:
    """That of the tensors, for the log and the metrics."""
    return service.manifest.served_modalities()[0] if service.loaded else "unknown"


def _model_parameters(asked: InferRequest) -> dict[str, Any]:
    """Those of the request that are not about the protocol."""
    given = asked.parameters or {}
    return {name: value for name, value in given.items() if name != BINARY_OUTPUT}


def _spec_value(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _json(content: dict[str, Any]) -> Response:
    return Response(dump_json(content), media_type=bodies.JSON)
