"""Bodies of responses of the Open Inference Protocol."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class InferError(msgspec.Struct, frozen=True):
    """Every error below /v2."""

    error: Annotated[str, Meta(description="Its stable name, and what was wrong.")]


class InferTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor of an answer: its elements row by row in `data`, or after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] = []


class InferAnswer(msgspec.Struct, frozen=True):
    """What /v2/models/{model}/infer answers."""

    model_name: str
    model_version: str
    id: Annotated[str, Meta(description="That of the request, or else of this prediction.")]
    outputs: list[InferTensor]


class TensorMetadata(msgspec.Struct, frozen=True):
    """A tensor that goes in or comes out; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """The tensors of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(msgspec.Struct, frozen=True):
    """The model answers."""

    name: str
    ready: bool


class ServerMetadata(msgspec.Struct, frozen=True):
    """What speaks here."""

    name: str
    version: str
    extensions: list[str]


class ServerHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server runs, or it is ready."""

    live: bool
    ready: bool = False
