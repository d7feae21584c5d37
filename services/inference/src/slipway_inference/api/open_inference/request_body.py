"""Bodies of inference requests: JSON, followed by raw tensors where an input is binary.

The metadata of tensors is read first. Their elements are read on demand, when it is known that the
model takes such a tensor.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from slipway_core.errors import InvalidInput, MalformedBody
from slipway_core.package.datatypes import NUMPY_TYPES, Datatype
from slipway_inference.http.bodies import Body
from slipway_inference.http.json import decode_as
from slipway_inference.http.json_structure import Limits
from slipway_inference.http.large_json import DEFAULT_LIMITS

Size = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Options = dict[str, Any] | None
JSON_LENGTH_HEADER = "Inference-Header-Content-Length"
BINARY_SIZE = "binary_data_size"
BINARY_OUTPUT = "binary_data_output"
BINARY_DATA = "binary_data"
_UNSUPPORTED = ("shared_memory_region", "classification")
MIN_ARRAY_ELEMENTS = 64
"""Size from which a row is kept as an array: each of its elements would become an object."""
_LENGTH = struct.Struct("<I")


class InferInput(msgspec.Struct, frozen=True):
    """An input tensor. `data` is nested or flat, row by row. A binary tensor has no `data`, but a
    `binary_data_size` in its `parameters`.
    """

    name: Annotated[str, Meta(max_length=256, examples=["text"])]
    shape: Annotated[list[Size], Meta(min_length=1, max_length=16, examples=[[1]])]
    datatype: Annotated[Datatype, Meta(examples=["BYTES"])]
    parameters: Options = None
    data: Annotated[list[Any] | None, Meta(examples=[["A ship slides down."]])] = None


class InferOutput(msgspec.Struct, frozen=True):
    """A requested output tensor; `binary_data` in its parameters says in which form."""

    name: Annotated[str, Meta(max_length=256, examples=["embedding"])]
    parameters: Options = None


class InferRequest(msgspec.Struct, frozen=True):
    """Tensors for a model. Without `outputs` the response has all outputs of the model."""

    inputs: Annotated[list[InferInput], Meta(min_length=1, max_length=256)]
    id: Annotated[str, Meta(max_length=256)] | None = None
    parameters: Options = None
    outputs: Annotated[list[InferOutput], Meta(max_length=256)] | None = None


@dataclass(frozen=True, slots=True)
class InputTensor:
    """A tensor as it was sent, in JSON or in raw bytes. `field` is its path in the request."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    field: str
    data: list[Any] | None
    raw: memoryview | None

    def rows(self) -> list[Any]:
        """Return its rows as nested lists [rows][...], or as elements [rows] for one dimension.
        Large rows of a raw tensor are arrays.

        Elements from JSON are not validated yet. Elements of BYTES are texts, or bytes from a raw
        tensor. Raises InvalidInput when their number does not match the shape, and for numbers
        that are not finite.
        """
        if self.raw is None:
            return _nested_rows(self.data or [], self.shape, f"{self.field}.data")
        if self.datatype == "BYTES":
            strings = _read_strings(self.raw, math.prod(self.shape), self.field)
            return _nest(strings, self.shape)
        return self._numbers(self.raw)

    def _numbers(self, raw: memoryview) -> list[Any]:
        kind = NUMPY_TYPES[self.datatype].newbyteorder("<")
        size = math.prod(self.shape) * kind.itemsize
        if len(raw) != size:
            raise InvalidInput.at(
                f"{self.field}.parameters.{BINARY_SIZE}",
                f"is {len(raw)}, but {list(self.shape)} of {self.datatype} has {size} bytes",
            )
        numbers = np.frombuffer(raw, kind).reshape(self.shape)
        if kind.kind == "f" and not np.isfinite(numbers).all():
            raise InvalidInput.at(f"{self.field}.data", "must hold finite numbers only")
        if len(self.shape) > 1 and numbers[0].size >= MIN_ARRAY_ELEMENTS:
            return list(numbers)
        rows: list[Any] = numbers.tolist()
        return rows


_decoder = msgspec.json.Decoder(InferRequest)


def read_request(
    body: Body, json_length: int | None, limits: Limits = DEFAULT_LIMITS
) -> tuple[InferRequest, list[InputTensor]]:
    """Return the request and its tensors. `json_length` is the number of JSON bytes in front of raw
    tensors, or None when the whole body is JSON; `limits` are those of a large JSON.

    Raises MalformedBody, PayloadTooLarge, or InvalidInput naming the member that is wrong.
    """
    if json_length is not None and json_length > len(body):
        raise MalformedBody(
            f"{JSON_LENGTH_HEADER} is {json_length}, but the body has {len(body)} bytes"
        )
    request = decode_as(_decoder, body[:json_length], limits=limits)
    _check_outputs(request.outputs or [])
    rest = memoryview(body)[len(body) if json_length is None else json_length :]
    tensors = []
    for index, part in enumerate(request.inputs):
        field = f"inputs.{index}"
        _reject_unsupported(part.parameters, field)
        size = _raw_size(part, len(rest), field)
        raw = None if size is None else rest[:size]
        rest = rest[size or 0 :]
        shape = tuple(part.shape)
        tensors.append(InputTensor(part.name, part.datatype, shape, field, part.data, raw))
    if len(rest):
        raise MalformedBody(f"{len(rest)} bytes follow the last tensor; no input claims them")
    return request, tensors


def is_binary(parameters: Options, name: str, field: str, *, otherwise: bool = False) -> bool:
    """Return the boolean parameter of a request or an output. Raises InvalidInput."""
    value = (parameters or {}).get(name, otherwise)
    if not isinstance(value, bool):
        raise InvalidInput.at(f"{field}.{name}", "must be true or false")
    return value


def _check_outputs(outputs: Sequence[InferOutput]) -> None:
    seen = set()
    for index, output in enumerate(outputs):
        _reject_unsupported(output.parameters, f"outputs.{index}")
        if output.name in seen:
            raise InvalidInput.at(f"outputs.{index}.name", "is asked for twice")
        seen.add(output.name)


def _reject_unsupported(parameters: Options, field: str) -> None:
    """Extensions that change the meaning of a tensor must not be ignored silently."""
    for name in _UNSUPPORTED:
        if name in (parameters or {}):
            raise InvalidInput.at(f"{field}.parameters.{name}", "is not supported here")


def _raw_size(part: InferInput, left: int, field: str) -> int | None:
    """Return the size of a raw input in bytes, or None for one in JSON. `left` bytes remain in the
    body.
    """
    size = (part.parameters or {}).get(BINARY_SIZE)
    if size is None:
        if part.data is None:
            raise InvalidInput.at(f"{field}.data", f"is missing, and so is a {BINARY_SIZE}")
        return None
    place = f"{field}.parameters.{BINARY_SIZE}"
    if part.data is not None:
        raise InvalidInput.at(f"{field}.data", f"cannot be sent together with {BINARY_SIZE}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidInput.at(place, "must be a number of bytes")
    if size > left:
        raise InvalidInput.at(place, f"is {size}, but {left} bytes are left in the body")
    return size


def _nested_rows(data: list[Any], shape: Sequence[int], field: str) -> list[Any]:
    """Return the rows of a tensor that was sent as lists of its shape, or as one flat list."""
    nested = any(isinstance(part, list) for part in data)
    if not nested:
        _check_length(data, math.prod(shape), field)
        return _nest(data, shape)
    parts = [data]
    for depth, size in enumerate(shape):
        for part in parts:
            if not isinstance(part, list):
                raise InvalidInput.at(field, "must be lists of one depth, or one flat list")
            _check_length(part, size, field)
        if depth + 1 < len(shape):
            parts = [inner for part in parts for inner in part]
    return data


def _check_length(part: list[Any], size: int, field: str) -> None:
    if len(part) != size:
        raise InvalidInput.at(field, f"has {len(part)} where the shape says {size}")


def _nest(elements: list[Any], shape: Sequence[int]) -> list[Any]:
    """Return the elements as nested lists of a shape."""
    for size in reversed(shape[1:]):
        elements = [elements[at : at + size] for at in range(0, len(elements), size)]
    return elements


def _read_strings(raw: memoryview, count: int, field: str) -> list[bytes]:
    """Return `count` elements, each of which follows its length in four bytes."""
    strings: list[bytes] = []
    at = 0
    while at < len(raw) and len(strings) < count:
        start = at + _LENGTH.size
        end = start + (_LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else 0)
        if end > len(raw):
            raise InvalidInput.at(f"{field}.data", f"ends within its element {len(strings)}")
        strings.append(bytes(raw[start:end]))
        at = end
    if at < len(raw) or len(strings) < count:
        actual = len(strings) if at == len(raw) else f"more than {count}"
        rule = f"has {actual} elements where the shape says {count}"
        raise InvalidInput.at(f"{field}.data", rule)
    return strings
