"""The bodies of prediction requests, as checked inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec import UNSET

from slipway_core.errors import InvalidInput
from slipway_core.inputs.parsing import parse_inputs, parse_rows
from slipway_core.models.model import Item
from slipway_inference.api.requests import TabularRequest, TextOrTextsRequest
from slipway_inference.http.decoding import decode_as
from slipway_inference.prediction.realtime import Asked, check_count
from slipway_inference.serving.service import Service

ReadBody = Callable[[Service, bytes], Asked]
"""The inputs of a JSON body; raises InvalidInput, MalformedBody, PayloadTooLarge, ModelNotReady."""

_text = msgspec.json.Decoder(TextOrTextsRequest)
_tabular = msgspec.json.Decoder(TabularRequest)


def read_text(service: Service, body: bytes) -> Asked:
    """One text or several, as a `ReadBody`."""
    asked = decode_as(_text, body)

    def parse(texts: Iterable[tuple[str, str]]) -> list[Item]:
        return parse_inputs(
            service.manifest, "text", texts, labels=asked.labels, parameters=asked.parameters
        )

    if asked.inputs is UNSET:
        if asked.input_text is UNSET:
            raise InvalidInput.at("input_text", "is missing")
        return Asked(parse([("input_text", asked.input_text)]), "input_text")
    if asked.input_text is not UNSET:
        raise InvalidInput.at("inputs", "cannot be sent together with input_text")
    check_count(service, len(asked.inputs), "inputs")  # before the work of checking each
    items = parse((f"inputs.{index}", text) for index, text in enumerate(asked.inputs))
    return Asked(items, "inputs", several=True)


def read_tabular(service: Service, body: bytes) -> Asked:
    """The rows of a table, as a `ReadBody`."""
    asked = decode_as(_tabular, body)
    items = parse_rows(service.manifest, asked.inputs, field="inputs", parameters=asked.parameters)
    return Asked(items, "inputs", several=True)
