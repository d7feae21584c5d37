"""Bodies of /predict as validated inputs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.datastructures import Headers
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
from slipway_inference.http.bodies import JSON, MULTIPART, Body, BodyReader, media_type
from slipway_inference.http.context import context_of
from slipway_inference.http.json import decode_as, encoded_list, json_response
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
        content = await self._bodies.read_json(request)
        return await self._bodies.parse(request, content, self._parse_text)

    async def read_tabular(self, request: Request) -> PredictionRequest:
        """Read the rows of a table."""
        content = await self._bodies.read_json(request)
        return await self._bodies.parse(request, content, self._parse_tabular)

    async def read_image(self, request: Request) -> PredictionRequest:
        """Read an image, in base64 within JSON or as a form."""
        kind = media_type(context_of(request.scope), JSON, MULTIPART)
        content = await self._bodies.read(request)
        form = partial(self._parse_image_form, request.headers)
        parse = form if kind == MULTIPART else self._parse_image
        return await self._bodies.parse(request, content, parse)

    def _parse_text(self, content: Body) -> PredictionRequest:
        body = decode_as(_text, content, limits=self._bodies.json_limits)

        def parse(texts: Iterable[tuple[str, str]]) -> list[Item]:
            return parse_inputs(
                self._model.manifest,
                "text",
                texts,
                labels=body.labels,
                parameters=body.parameters,
            )

        size = len(content)
        if body.inputs is UNSET:
            if body.input_text is UNSET:
                raise InvalidInput.at("input_text", "is missing")
            return self._single(parse([("input_text", body.input_text)]), "input_text", size)
        if body.input_text is not UNSET:
            raise InvalidInput.at("inputs", "cannot be sent together with input_text")
        check_count(len(body.inputs), self._max_items, "inputs")  # before each one is validated
        texts = ((f"inputs.{index}", text) for index, text in enumerate(body.inputs))
        return self._rows(parse(texts), size)

    def _parse_tabular(self, content: Body) -> PredictionRequest:
        body = decode_as(_tabular, content, limits=self._bodies.json_limits)
        check_count(count_rows(body.inputs), self._max_items, "inputs")
        items = parse_rows(
            self._model.manifest, body.inputs, field="inputs", parameters=body.parameters
        )
        return self._rows(items, len(content))

    def _parse_image(self, content: Body) -> PredictionRequest:
        body = decode_as(_image, content, limits=self._bodies.json_limits)
        return self._image(body.image, body.parameters, "image", len(content))

    def _parse_image_form(self, headers: Headers, content: Body) -> PredictionRequest:
        image, parameters = read_image_form(headers, content)
        return self._image(image, parameters, "file", len(content))

    def _image(
        self, raw: str | Body, parameters: dict[str, Any], field: str, size: int
    ) -> PredictionRequest:
        manifest = self._model.manifest
        item = parse_input(
            manifest,
            "image",
            raw,
            field=field,
            parameters=parameters,
            image_limits=self._model.image_limits,
        )
        return self._single([item], "image", size)

    def _single(self, items: list[Item], field: str, size: int) -> PredictionRequest:
        render = partial(_respond, several=False)
        return PredictionRequest.of(self._model.manifest, items, field, render, size=size)

    def _rows(self, items: list[Item], size: int) -> PredictionRequest:
        render = partial(_respond, several=True)
        return PredictionRequest.of(self._model.manifest, items, "inputs", render, size=size)


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
            "prediction": {"rows": encoded_list(values)} if several else values[0],
            "latency_ms": round(answer.context.elapsed_seconds * 1000, 3),
        }
    )
