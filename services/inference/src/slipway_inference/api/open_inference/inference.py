"""Inference requests as validated inputs, and their responses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from slipway_core.errors import MalformedBody
from slipway_inference.api.open_inference.input_tensors import match_tensors, to_items
from slipway_inference.api.open_inference.output_tensors import output_specs, to_tensors
from slipway_inference.api.open_inference.request_body import (
    BINARY_OUTPUT,
    JSON_LENGTH_HEADER,
    InferRequest,
    read_request,
)
from slipway_inference.api.open_inference.response_body import requested_outputs, write_body
from slipway_inference.http.bodies import BINARY, JSON, MAX_LENGTH_DIGITS, Body, BodyReader
from slipway_inference.http.context import context_of
from slipway_inference.http.large_response import BodyResponse
from slipway_inference.http.openapi import parameter
from slipway_inference.prediction.request import Answer, PredictionRequest, check_count
from slipway_inference.serving.served_model import ServedModel

JSON_LENGTH_PARAMETER = parameter(
    JSON_LENGTH_HEADER,
    "header",
    {"type": "integer", "minimum": 0},
    "How many bytes of the body are JSON, where raw tensors follow.",
)


class InferenceInputs:
    """Reads inference requests for one model."""

    def __init__(self, model: ServedModel, bodies: BodyReader, max_items: int) -> None:
        self._model = model
        self._bodies = bodies
        self._max_items = max_items

    async def read(self, request: Request) -> PredictionRequest:
        """Read the tensors of a request, whatever its Content-Type: clients send none, or curl's.

        Raises InvalidInput, MalformedBody, PayloadTooLarge, UnsupportedMediaType, UnknownModel and
        ModelNotReady.
        """
        self.check_model(request)
        length = context_of(request.scope).header(JSON_LENGTH_HEADER)
        if length is not None and not _is_count(length):
            raise MalformedBody(f"{JSON_LENGTH_HEADER} must be a number of bytes")
        content = await self._bodies.read(request)
        parse = partial(self._parse, None if length is None else int(length))
        return await self._bodies.parse(request, content, parse)

    def _parse(self, json_length: int | None, content: Body) -> PredictionRequest:
        body, tensors = read_request(content, json_length, self._bodies.json_limits)
        manifest = self._model.manifest
        matched = match_tensors(manifest, tensors)
        check_count(matched.rows, self._max_items, f"{matched.field}.shape")
        specs = output_specs(self._model.info, by_labels=matched.labels is not None)
        outputs = requested_outputs(body, [spec.name for spec in specs])
        items = to_items(manifest, matched, _model_parameters(body), self._model.image_limits)
        field, render = f"{matched.field}.data", _Renderer(body.id, outputs)
        return PredictionRequest.of(manifest, items, field, render, size=len(content))

    def check_model(self, request: Request) -> None:
        """Raise UnknownModel unless the path names the served model, and its version if any."""
        path = request.path_params
        self._model.check_name(path["model"], path.get("version", ""))

    def modality(self) -> str:
        """Return what the tensors are, for the log and the metrics."""
        model = self._model
        return model.manifest.served_modalities()[0] if model.is_loaded else "unknown"


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Makes the response to one request. `outputs` are those of `requested_outputs`."""

    request_id: str | None
    outputs: dict[str, bool]

    def __call__(self, answer: Answer) -> Response:
        head = {
            "model_name": answer.manifest.name,
            "model_version": answer.manifest.version,
            "id": self.request_id or str(answer.id),
        }
        tensors = to_tensors(answer.manifest, answer.outcomes)
        body, json_length = write_body(head, tensors, self.outputs)
        if json_length is None:
            return BodyResponse(body, media_type=JSON)
        headers = {JSON_LENGTH_HEADER: str(json_length)}
        return BodyResponse(body, headers=headers, media_type=BINARY)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS


def _model_parameters(body: InferRequest) -> dict[str, Any]:
    """Return the parameters for the model: those that are not about the protocol."""
    parameters = body.parameters or {}
    return {name: value for name, value in parameters.items() if name != BINARY_OUTPUT}
