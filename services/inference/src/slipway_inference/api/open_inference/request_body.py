"""Bodies of inference requests: JSON, with raw tensors behind it where an input is binary.

What a tensor says of itself is read first, and its elements only when they are asked for: by then
it is known that the model takes such a tensor.
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
from slipway_core.models.exported.encoding import ARRAY_TYPES
from slipway_core.package.manifest import Datatype
from slipway_inference.http.decoding import decode_as

Size = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Options = dict[str, Any] | None
BINARY_SIZE = "binary_data_size"
BINARY_OUTPUT = "binary_data_output"
BINARY_DATA = "binary_data"
_FOREIGN = ("shared_memory_region", "classification")
_LENGTH = struct.Struct("<I")


class InferInput(msgspec.Struct, frozen=True):
    """A tensor that goes in. `data` is nested or flat, row by row; it is left out when the tensor
    comes in binary, and `parameters` has a `binary_data_size`.
    """

    name: Annotated[str, Meta(max_length=256, examples=["text"])]
    shape: Annotated[list[Size], Meta(min_length=1, max_length=16, examples=[[1]])]
    datatype: Annotated[Datatype, Meta(examples=["BYTES"])]
    parameters: Options = None
    data: Annotated[list[Any] | None, Meta(examples=[["A ship slides down."]])] = None


class InferOutput(msgspec.Struct, frozen=True):
    """A tensor that is asked for; `binary_data` in its parameters says in which form."""

    name: Annotated[str, Meta(max_length=256, examples=["embedding"])]
    parameters: Options = None


class InferRequest(msgspec.Struct, frozen=True):
    """Tensors for a model. Without `outputs` the answer has all that there are."""

    inputs: Annotated[list[InferInput], Meta(min_length=1, max_length=256)]
    id: Annotated[str, Meta(max_length=256)] | None = None
    parameters: Options = None
    outputs: Annotated[list[InferOutput], Meta(max_length=256)] | None = None


@dataclass(frozen=True, slots=True)
class InputTensor:
    """A tensor as it came, in JSON or in raw bytes. `field` is its place in the request."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    field: str
    data: list[Any] | None
    raw: memoryview | None

    def rows(self) -> list[Any]:
        """Its rows as lists within lists, or as single elements where it has one dimension.

        Elements that came in JSON are still to be checked; those of BYTES are texts, or bytes from
        a raw tensor. Raises InvalidInput when they are not as many as the shape says, and for
        numbers that are not finite.
        """
        if self.raw is None:
            return _nested_rows(self.data or [], self.shape, f"{self.field}.data")
        if self.datatype == "BYTES":
            strings = _read_strings(self.raw, math.prod(self.shape), self.field)
            return _nest(strings, self.shape)
        return self._numbers(self.raw)

    def _numbers(self, raw: memoryview) -> list[Any]:
        kind = np.dtype(ARRAY_TYPES[self.datatype]).newbyteorder("<")
        wanted = math.prod(self.shape) * kind.itemsize
        if len(raw) != wanted:
            raise InvalidInput.at(
                f"{self.field}.parameters.{BINARY_SIZE}",
                f"is {len(raw)}, but {list(self.shape)} of {self.datatype} has {wanted} bytes",
            )
        numbers = np.frombuffer(raw, kind).reshape(self.shape)
        if kind.kind == "f" and not np.isfinite(numbers).all():
            raise InvalidInput.at(f"{self.field}.data", "must hold finite numbers only")
        rows: list[Any] = numbers.tolist()
        return rows


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
    _check_outputs(request.outputs or [])
    rest = memoryview(body)[len(body) if json_length is None else json_length :]
    tensors = []
    for index, given in enumerate(request.inputs):
        field = f"inputs.{index}"
        _refuse_foreign(given.parameters, field)
        size = _raw_size(given, len(rest), field)
        raw = None if size is None else rest[:size]
        rest = rest[size or 0 :]
        shape = tuple(given.shape)
        tensors.append(InputTensor(given.name, given.datatype, shape, field, given.data, raw))
    if len(rest):
        raise MalformedBody(f"{len(rest)} bytes follow the last tensor; no input claims them")
    return request, tensors


def wants_binary(parameters: Options, name: str, field: str, *, otherwise: bool = False) -> bool:
    """What a parameter of a request or of an output says; raises InvalidInput."""
    value = (parameters or {}).get(name, otherwise)
    if not isinstance(value, bool):
        raise InvalidInput.at(f"{field}.{name}", "must be true or false")
    return value


def _check_outputs(outputs: Sequence[InferOutput]) -> None:
    seen = set()
    for index, output in enumerate(outputs):
        _refuse_foreign(output.parameters, f"outputs.{index}")
        if output.name in seen:
            raise InvalidInput.at(f"outputs.{index}.name", "is asked for twice")
        seen.add(output.name)


def _refuse_foreign(parameters: Options, field: str) -> None:
    """Extensions that change what a tensor means must not be passed over."""
    for name in _FOREIGN:
        if name in (parameters or {}):
            raise InvalidInput.at(f"{field}.parameters.{name}", "is not supported here")


def _raw_size(given: InferInput, left: int, field: str) -> int | None:
    """How many of the bytes that are left in the body are this input's; None for one in JSON."""
    size = (given.parameters or {}).get(BINARY_SIZE)
    if size is None:
        if given.data is None:
            raise InvalidInput.at(f"{field}.data", f"is missing, and so is a {BINARY_SIZE}")
        return None
    place = f"{field}.parameters.{BINARY_SIZE}"
    if given.data is not None:
        raise InvalidInput.at(f"{field}.data", f"cannot be sent together with {BINARY_SIZE}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidInput.at(place, "must be a number of bytes")
    if size > left:
        raise InvalidInput.at(place, f"is {size}, but {left} bytes are left in the body")
    return size


def _nested_rows(data: list[Any], shape: Sequence[int], field: str) -> list[Any]:
    """The rows of a tensor that came in lists of its shape, or in one flat list."""
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
    """The elements as lists within lists, of a shape."""
    for size in reversed(shape[1:]):
        elements = [elements[at : at + size] for at in range(0, len(elements), size)]
    return elements


def _read_strings(raw: memoryview, count: int, field: str) -> list[bytes]:
    """So many elements, each after its length in four bytes."""
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
        found = len(strings) if at == len(raw) else f"more than {count}"
        raise InvalidInput.at(f"{field}.data", f"has {found} elements where the shape says {count}")
    return strings
