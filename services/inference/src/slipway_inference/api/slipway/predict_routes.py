"""POST /predict/{modality}: one prediction, at once.

Most texts and rows do not come here: see `direct`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from slipway_core.errors import UnknownModality
from slipway_core.inputs.parsing import parse_input
from slipway_inference.api.requests import ImageRequest
from slipway_inference.api.slipway.forms import read_image_form
from slipway_inference.api.slipway.prediction_bodies import read_tabular, read_text
from slipway_inference.http import bodies
from slipway_inference.http.context import context_of
from slipway_inference.http.decoding import decode_as
from slipway_inference.http.lean_route import LeanRoute
from slipway_inference.http.openapi import describe_prediction
from slipway_inference.prediction.predicting import Read, predict, whole
from slipway_inference.prediction.realtime import Asked, count_prediction
from slipway_inference.serving.service import Service

router = APIRouter(tags=["predict"], route_class=LeanRoute)

_image = msgspec.json.Decoder(ImageRequest)


@router.post("/predict/text", **describe_prediction("text"))
async def predict_text(request: Request) -> Response:
    return await _answer(request, "text", whole(read_text))


@router.post("/predict/tabular", **describe_prediction("tabular"))
async def predict_tabular(request: Request) -> Response:
    return await _answer(request, "tabular", whole(read_tabular))


@router.post("/predict/image", **describe_prediction("image"))
async def predict_image(request: Request) -> Response:
    return await _answer(request, "image", _read_image)


@router.post("/predict/{modality}", include_in_schema=False)
async def predict_unknown(request: Request) -> Response:
    name = request.path_params["modality"][:64]
    error = UnknownModality(f"'{name}' is not a modality; there are text, tabular and image")
    count_prediction("unknown", error)
    raise error


async def _answer(request: Request, modality: str, read: Read) -> Response:
    return Response(await predict(request, modality, read), media_type=bodies.JSON)


async def _read_image(service: Service, request: Request) -> Asked:
    kind = bodies.media_type(context_of(request.scope), bodies.JSON, bodies.MULTIPART)
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
