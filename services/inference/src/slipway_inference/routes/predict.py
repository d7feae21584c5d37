"""POST /predict/{modality}: one prediction, at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from slipway_core import telemetry
from slipway_core.errors import InternalError, SlipwayError, UnknownModality
from slipway_core.runtime.inputs import parse_input, parse_rows
from slipway_core.runtime.protocol import Item, Outcome
from slipway_inference import bodies
from slipway_inference.decoding import decode_as
from slipway_inference.edge import CLIENT_DISCONNECTED
from slipway_inference.forms import read_image_form
from slipway_inference.lean_route import LeanRoute
from slipway_inference.openapi import describe_prediction
from slipway_inference.predictions_json import dump_json, prediction_value
from slipway_inference.realtime import Answer, predict
from slipway_inference.request_context import context_of
from slipway_inference.requests import ImageRequest, TabularRequest, TextRequest
from slipway_inference.service import Service

router = APIRouter(tags=["predict"], route_class=LeanRoute)

_text = msgspec.json.Decoder(TextRequest)
_tabular = msgspec.json.Decoder(TabularRequest)
_image = msgspec.json.Decoder(ImageRequest)

Read = Callable[[Service, Request], Awaitable[list[Item]]]


@router.post("/predict/text", **describe_prediction("text"))
async def predict_text(request: Request) -> Response:
    return await _answer(request, "text", "input_text", _read_text)


@router.post("/predict/tabular", **describe_prediction("tabular"))
async def predict_tabular(request: Request) -> Response:
    return await _answer(request, "tabular", "inputs", _read_tabular)


@router.post("/predict/image", **describe_prediction("image"))
async def predict_image(request: Request) -> Response:
    return await _answer(request, "image", "image", _read_image)


@router.post("/predict/{modality}", include_in_schema=False)
async def predict_unknown(request: Request) -> Response:
    name = request.path_params["modality"][:64]
    telemetry.PREDICTION_REQUESTS.labels("unknown", UnknownModality.__name__).inc()
    raise UnknownModality(f"'{name}' is not a modality; there are text, tabular and image")


async def _answer(request: Request, modality: str, field: str, read: Read) -> Response:
    service: Service = request.app.state.service
    status = InternalError.__name__
    try:
        items = await read(service, request)
        answer = await predict(service, request, modality, items, field)
        status = "ok"
    except SlipwayError as error:
        status = error.code
        raise
    except ClientDisconnect:
        status = CLIENT_DISCONNECTED
        raise
    finally:
        telemetry.PREDICTION_REQUESTS.labels(modality, status).inc()
    return _render(service, request, modality, answer)


async def _read_text(service: Service, request: Request) -> list[Item]:
    bodies.media_type(request, bodies.JSON)
    asked = decode_as(_text, await bodies.read_body(request, service.settings, service.body_memory))
    return [
        parse_input(
            service.manifest,
            "text",
            asked.input_text,
            field="input_text",
            labels=asked.labels,
            parameters=asked.parameters,
        )
    ]


async def _read_tabular(service: Service, request: Request) -> list[Item]:
    bodies.media_type(request, bodies.JSON)
    asked = decode_as(
        _tabular, await bodies.read_body(request, service.settings, service.body_memory)
    )
    return parse_rows(service.manifest, asked.inputs, field="inputs", parameters=asked.parameters)


async def _read_image(service: Service, request: Request) -> list[Item]:
    kind = bodies.media_type(request, bodies.JSON, bodies.MULTIPART)
    body = await bodies.read_body(request, service.settings, service.body_memory)
    raw: Any
    if kind == bodies.MULTIPART:
        raw, parameters = await read_image_form(request, body)
        field = "file"
    else:
        asked = decode_as(_image, body)
        raw, parameters, field = asked.image, asked.parameters, "image"
    return [parse_input(service.manifest, "image", raw, field=field, parameters=parameters)]


def _render(service: Service, request: Request, modality: str, answer: Answer) -> Response:
    manifest = service.manifest
    content = {
        "id": str(answer.id),
        "model": manifest.name,
        "version": manifest.version,
        "model_digest": manifest.digest,
        "modality": modality,
        "prediction": _prediction(modality, answer.outcomes),
        "latency_ms": round(context_of(request.scope).elapsed_seconds * 1000, 3),
    }
    return Response(dump_json(content), media_type=bodies.JSON)


def _prediction(modality: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """One object for a text or a picture; for a table one object per row, in order."""
    values = [prediction_value(one.prediction, one.embedding) for one in outcomes]
    return {"rows": values} if modality == "tabular" else values[0]
