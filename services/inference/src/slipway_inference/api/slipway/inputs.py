"""Bodies of /predict as validated inputs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from slipway_core.errors import InvalidInput
from slipway_core.inputs.items import Item
from slipway_core.inputs.parsing import parse_input, parse_inputs, parse_rows
from slipway_core.inputs.rows import count_rows
from slipway_inference.api.slipway.image_form import read_image_form
from slipway_inference.api.slipway.schemas import (
    ImageRequest,
    TabularRequest,
    TextOrTextsRequest,
)
from slipway_inference.http.bodies import JSON, MULTIPART, BodyReader, media_type
from slipway_inference.http.context import context_of
from slipway_inference.http.json import decode_as, json_response
from slipway_inference.prediction.json_value import prediction_value
from slipway_inference.prediction.request import Answer, PredictionRequest, check_count
from slipway_inference.serving.served_model import ServedModel

_text = msgspec.json.Decoder(TextOrTextsRequest)
_tabular = msgspec.json.Decoder(TabularRequest)
_image = msgspec.json.Decoder(ImageRequest)


class PredictionInputs:
    """Reads requests for one model. All methods raise InvalidInput, MalformedBody, PayloadTooLarge,
    UnsupportedMediaType, UnknownModality and ModelNotReady.
    """

    def __init__(self, model: ServedModel, bodies: BodyReader, max_items: int) -> None:
        self._model = model
        self._bodies = bodies
        self._max_items = max_items

    async def read_text(self, request: Request) -> PredictionRequest:
        """Read one text, or several."""
        body = decode_as(_text, await self._bodies.read_json(request))

        def parse(texts: Iterable[tuple[str, str]]) -> list[Item]:
            return parse_inputs(
                self._model.manifest,
                "text",
                texts,
                labels=body.labels,
                parameters=body.parameters,
            )

        if body.inputs is UNSET:
            if body.input_text is UNSET:
                raise InvalidInput.at("input_text", "is missing")
            return _single(parse([("input_text", body.input_text)]), "input_text")
        if body.input_text is not UNSET:
            raise InvalidInput.at("inputs", "cannot be sent together with input_text")
        check_count(len(body.inputs), self._max_items, "inputs")  # before each one is validated
        return _rows(parse((f"inputs.{index}", text) for index, text in enumerate(body.inputs)))

    async def read_tabular(self, request: Request) -> PredictionRequest:
        """Read the rows of a table."""
        body = decode_as(_tabular, await self._bodies.read_json(request))
        check_count(count_rows(body.inputs), self._max_items, "inputs")
        return _rows(
            parse_rows(
                self._model.manifest, body.inputs, field="inputs", parameters=body.parameters
            )
        )

    async def read_image(self, request: Request) -> PredictionRequest:
        """Read an image, in base64 within JSON or as a form."""
        kind = media_type(context_of(request.scope), JSON, MULTIPART)
        content = await self._bodies.read(request)
        raw: Any
        if kind == MULTIPART:
            raw, parameters = await read_image_form(request, content)
            field = "file"
        else:
            body = decode_as(_image, content)
            raw, parameters, field = body.image, body.parameters, "image"
        item = parse_input(self._model.manifest, "image", raw, field=field, parameters=parameters)
        return _single([item], "image")


def _single(items: list[Item], field: str) -> PredictionRequest:
    return PredictionRequest(items, field, partial(_respond, several=False))


def _rows(items: list[Item]) -> PredictionRequest:
    return PredictionRequest(items, "inputs", partial(_respond, several=True))


def _respond(answer: Answer, *, several: bool) -> Response:
    manifest = answer.manifest
    values = [prediction_value(one.prediction, one.embedding) for one in answer.outcomes]
    return json_response(
        {
            "id": str(answer.id),
            "model": manifest.name,
            "version": manifest.version,
            "model_digest": manifest.digest,
            "modality": answer.modality,
            "prediction": {"rows": values} if several else values[0],
            "latency_ms": round(answer.context.elapsed_seconds * 1000, 3),
        }
    )
