"""Bodies of inference requests: JSON, with raw tensors behind it where an input is binary."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from slipway_core.errors import InvalidInput, MalformedBody
from slipway_core.runtime.encoding import ARRAY_TYPES
from slipway_core.runtime.manifest import Datatype
from slipway_inference.decoding import decode_as

Size = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Options = dict[str, Any]
BINARY_SIZE = "binary_data_size"
BINARY_OUTPUT = "binary_data_output"
BINARY = "binary_data"
_FOREIGN = ("shared_memory_region", "classification")
_LENGTH = struct.Struct("<I")


class InferInput(msgspec.Struct, frozen=True):
    """A tensor that goes in. `data` is nested or flat, row by row; it is left out when the tensor
    comes in binary, and `parameters` has a `binary_data_size`.
    """

    name: Annotated[str, Meta(max_length=256, examples=["text"])]
    shape: Annotated[list[Size], Meta(min_length=1, max_length=16, examples=[[1]])]
    datatype: Annotated[Datatype, Meta(examples=["BYTES"])]
    parameters: Options = {}
    data: Annotated[list[Any], Meta(examples=[["A ship slides down."]])] | UnsetType = UNSET


class InferOutput(msgspec.Struct, frozen=True):
    """A tensor that is asked for; `binary_data` in its parameters says in which form."""

    name: Annotated[str, Meta(max_length=256, examples=["embedding"])]
    parameters: Options = {}


class InferRequest(msgspec.Struct, frozen=True):
    """Tensors for a model. Without `outputs` the answer has all that there are."""

    inputs: Annotated[list[InferInput], Meta(min_length=1, max_length=256)]
    id: Annotated[str, Meta(max_length=256)] = ""
    parameters: Options = {}
    outputs: Annotated[list[InferOutput], Meta(max_length=256)] = []


@dataclass(frozen=True, slots=True)
class InputTensor:
    """A tensor as it came. `elements` are all of it, row by row; those of BYTES are texts, or bytes
    where it came in binary. `field` is its place in the request.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    elements: list[Any]
    field: str


_decoder = msgspec.json.Decoder(InferRequest)


def read_request(body: bytes, json_length: int | None) -> tuple[InferRequest, list[InputTensor]]:
    """The request and its tensors. `json_length` says how many bytes of the body are JSON, where
    raw tensors follow.

    Raises MalformedBody, or InvalidInput naming the member that is wrong.
    """
    if json_length is not None and json_length > len(body):
        raise MalformedBody(
            f"Inference-Header-Content-Length is {json_length}, but the body has {len(body)} bytes"
        )
    request = decode_as(_decoder, body[:json_length])
    rest = memoryview(body)[len(body) if json_length is None else json_length :]
    tensors = []
    for index, given in enumerate(request.inputs):
        field = f"inputs.{index}"
        _refuse_foreign(given.parameters, field)
        raw, rest = _raw_of(given, rest, field)
        elements = _from_json(given, field) if raw is None else _from_raw(given, raw, field)
        if len(elements) != math.prod(given.shape):
            raise InvalidInput.at(
                f"{field}.data",
                f"has {len(elements)} elements, but the shape {given.shape} has "
                f"{math.prod(given.shape)}",
            )
        tensors.append(InputTensor(given.name, given.datatype, tuple(given.shape), elements, field))
    if len(rest):
        raise MalformedBody(f"{len(rest)} bytes follow the last tensor; no input claims them")
    for index, output in enumerate(request.outputs):
        _refuse_foreign(output.parameters, f"outputs.{index}")
    return request, tensors


def _refuse_foreign(parameters: Options, field: str) -> None:
    """Extensions that change what a tensor means must not be passed over."""
    for name in _FOREIGN:
        if name in parameters:
            raise InvalidInput.at(f"{field}.parameters.{name}", "is not supported here")


def _raw_of(
    given: InferInput, rest: memoryview, field: str
) -> tuple[memoryview | None, memoryview]:
    """The bytes of a binary input, None for one in JSON, and what is left for others."""
    if BINARY_SIZE not in given.parameters:
        if given.data is UNSET:
            raise InvalidInput.at(f"{field}.data", f"is missing, and so is a {BINARY_SIZE}")
        return None, rest
    size = given.parameters[BINARY_SIZE]
    place = f"{field}.parameters.{BINARY_SIZE}"
    if given.data is not UNSET:
        raise InvalidInput.at(f"{field}.data", f"cannot be sent together with {BINARY_SIZE}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidInput.at(place, "must be a number of bytes")
    if size > len(rest):
        raise InvalidInput.at(place, f"is {size}, but {len(rest)} bytes are left in the body")
    return rest[:size], rest[size:]


def _from_json(given: InferInput, field: str) -> list[Any]:
    """All elements of nested lists, in order."""
    elements: Any = given.data
    for _ in given.shape[1:]:
        if not any(isinstance(part, list) for part in elements):
            break
        if not all(isinstance(part, list) for part in elements):
            raise InvalidInput.at(f"{field}.data", "must be lists of one depth, or one flat list")
        elements = [element for part in elements for element in part]
    flat: list[Any] = elements
    return flat


def _from_raw(given: InferInput, raw: memoryview, field: str) -> list[Any]:
    if given.datatype == "BYTES":
        return _read_strings(raw, field)
    kind = np.dtype(ARRAY_TYPES[given.datatype]).newbyteorder("<")
    if len(raw) % kind.itemsize:
        raise InvalidInput.at(
            f"{field}.parameters.{BINARY_SIZE}",
            f"must be a multiple of {kind.itemsize}, the bytes of a {given.datatype}",
        )
    elements: list[Any] = np.frombuffer(raw, kind).tolist()
    return elements


def _read_strings(raw: memoryview, field: str) -> list[bytes]:
    """Elements that each follow their length, four bytes of it."""
    strings: list[bytes] = []
    at = 0
    while at < len(raw):
        end = at + _LENGTH.size
        if end <= len(raw):
            end += _LENGTH.unpack_from(raw, at)[0]
        if end > len(raw) or at + _LENGTH.size > len(raw):
            raise InvalidInput.at(f"{field}.data", f"ends within its element {len(strings)}")
        strings.append(bytes(raw[at + _LENGTH.size : end]))
        at = end
    return strings
