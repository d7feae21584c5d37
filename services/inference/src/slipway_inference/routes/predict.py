"""POST /predict/{modality}: one prediction, at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter
from msgspec import UNSET
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from slipway_core import telemetry
from slipway_core.errors import InternalError, InvalidInput, SlipwayError, UnknownModality
from slipway_core.runtime.inputs import parse_input, parse_rows
from slipway_core.runtime.protocol import Item
from slipway_inference import bodies
from slipway_inference.decoding import decode_as
from slipway_inference.forms import read_image_form
from slipway_inference.lean_route import LeanRoute
from slipway_inference.openapi import describe_prediction
from slipway_inference.predictions_json import dump_json, prediction_value
from slipway_inference.realtime import Answer, check_count, predict
from slipway_inference.request_context import CLIENT_DISCONNECTED, context_of
from slipway_inference.requests import ImageRequest, TabularRequest, TextOrTextsRequest
from slipway_inference.service import Service

router = APIRouter(tags=["predict"], route_class=LeanRoute)

_text = msgspec.json.Decoder(TextOrTextsRequest)
_tabular = msgspec.json.Decoder(TabularRequest)
_image = msgspec.json.Decoder(ImageRequest)


class Asked(msgspec.Struct, frozen=True):
    """Checked inputs, the field that they came in, and whether the answer is a list."""

    items: list[Item]
    field: str
    several: bool = False


Read = Callable[[Service, Request], Awaitable[Asked]]


@router.post("/predict/text", **describe_prediction("text"))
async def predict_text(request: Request) -> Response:
    return await _answer(request, "text", _read_text)


@router.post("/predict/tabular", **describe_prediction("tabular"))
async def predict_tabular(request: Request) -> Response:
    return await _answer(request, "tabular", _read_tabular)


@router.post("/predict/image", **describe_prediction("image"))
async def predict_image(request: Request) -> Response:
    return await _answer(request, "image", _read_image)


@router.post("/predict/{modality}", include_in_schema=False)
async def predict_unknown(request: Request) -> Response:
    name = request.path_params["modality"][:64]
    telemetry.PREDICTION_REQUESTS.labels("unknown", UnknownModality.__name__).inc()
    raise UnknownModality(f"'{name}' is not a modality; there are text, tabular and image")


async def _answer(request: Request, modality: str, read: Read) -> Response:
    service: Service = request.app.state.service
    status = InternalError.__name__
    try:
        asked = await read(service, request)
        answer = await predict(service, request, modality, asked.items, asked.field)
        status = "ok"
    except SlipwayError as error:
        status = error.code
        raise
    except ClientDisconnect:
        status = CLIENT_DISCONNECTED
        raise
    finally:
        telemetry.PREDICTION_REQUESTS.labels(modality, status).inc()
    return _render(service, request, modality, answer, several=asked.several)


async def _read_text(service: Service, request: Request) -> Asked:
    bodies.media_type(request, bodies.JSON)
    asked = decode_as(_text, await bodies.read_body(request, service.settings, service.body_memory))
    manifest = service.manifest

    def parse(text: str, field: str) -> Item:
        return parse_input(
            manifest,
            "text",
            text,
            field=field,
            labels=asked.labels,
            parameters=asked.parameters,
        )

    if asked.inputs is UNSET:
        if asked.input_text is UNSET:
            raise InvalidInput.at("input_text", "is missing")
        return Asked([parse(asked.input_text, "input_text")], "input_text")
    if asked.input_text is not UNSET:
        raise InvalidInput.at("inputs", "cannot be sent together with input_text")
    check_count(service, asked.inputs, "inputs")  # before the work of checking each
    items = [parse(text, f"inputs.{index}") for index, text in enumerate(asked.inputs)]
    return Asked(items, "inputs", several=True)


async def _read_tabular(service: Service, request: Request) -> Asked:
    bodies.media_type(request, bodies.JSON)
    asked = decode_as(
        _tabular, await bodies.read_body(request, service.settings, service.body_memory)
    )
    items = parse_rows(service.manifest, asked.inputs, field="inputs", parameters=asked.parameters)
    return Asked(items, "inputs", several=True)


async def _read_image(service: Service, request: Request) -> Asked:
    kind = bodies.media_type(request, bodies.JSON, bodies.MULTIPART)
    body = await bodies.read_body(request, service.settings, service.body_memory)
    raw: Any
    if kind == bodies.MULTIPART:
        raw, parameters = await read_image_form(request, body)
        field = "file"
    else:
        asked = decode_as(_image, body)
        raw, parameters, field = asked.image, asked.parameters, "image"
    item = parse_input(service.manifest, "image", raw, field=field, parameters=parameters)
    return Asked([item], "image")


def _render(
    service: Service, request: Request, modality: str, answer: Answer, *, several: bool
) -> Response:
    manifest = service.manifest
    values = [prediction_value(one.prediction, one.embedding) for one in answer.outcomes]
    content = {
        "id": str(answer.id),
        "model": manifest.name,
        "version": manifest.version,
        "model_digest": manifest.digest,
        "modality": modality,
        "prediction": {"rows": values} if several else values[0],
        "latency_ms": round(context_of(request.scope).elapsed_seconds * 1000, 3),
    }
    return Response(dump_json(content), media_type=bodies.JSON)
