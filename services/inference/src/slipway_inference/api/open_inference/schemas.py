"""Bodies of responses of the Open Inference Protocol."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class InferError(msgspec.Struct, frozen=True):
    """Every error below /v2."""

    error: Annotated[str, Meta(description="The error's stable name, and what was wrong.")]


class InferTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output tensor: its elements row by row in `data`, or behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] = []


class InferAnswer(msgspec.Struct, frozen=True):
    """The response of /v2/models/{model}/infer."""

    model_name: str
    model_version: str
    id: Annotated[str, Meta(description="The id of the request, or else of this prediction.")]
    outputs: list[InferTensor]


class TensorMetadata(msgspec.Struct, frozen=True):
    """An input or output tensor; -1 stands for any size."""

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
    """The model is ready."""

    name: str
    ready: bool


class ServerMetadata(msgspec.Struct, frozen=True):
    """The server and its extensions."""

    name: str
    version: str
    extensions: list[str]


class ServerHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the server is live, and ready."""

    live: bool
    ready: bool = False
