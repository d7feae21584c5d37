"""JSON: request bodies into checked structures, and values into response bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy.typing as npt
import orjson
from starlette.responses import Response

from slipway_core.errors import InvalidInput, MalformedBody
from slipway_inference.http.bodies import JSON, Body
from slipway_inference.http.json_structure import Limits
from slipway_inference.http.large_json import DEFAULT_LIMITS, decode_large
from slipway_inference.http.large_response import BodyResponse
from slipway_inference.http.large_work import LARGE_BYTES
from slipway_inference.http.validation import explain

T = TypeVar("T")

ELEMENTS_PER_CALL = 64
"""Elements of a list that are encoded in one call; each may be a vector."""
JSON_BYTES_PER_VECTOR_BYTE = 3
"""How much longer vectors of float32 are as JSON."""
NUMBERS_PER_CALL = 64 * 1024
_any = msgspec.json.Decoder(Any)
_CONTENT_TYPE = (b"content-type", JSON.encode())
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def decode_as(
    decoder: msgspec.json.Decoder[T],
    body: Body,
    *,
    what: str = "body",
    limits: Limits = DEFAULT_LIMITS,
) -> T:
    """Decode JSON as the decoder's type. `what` names the text in error messages; `limits` are
    those of a large one.

    Raises MalformedBody when it is not JSON, PayloadTooLarge when it holds too many values,
    InvalidInput when it is JSON of another form.
    """
    try:
        if len(body) <= LARGE_BYTES:
            return decoder.decode(body)
        value: T = msgspec.convert(decode_large(body, limits, what), decoder.type)
        return value
    except msgspec.ValidationError as error:
        field, rule = explain(str(error))
        raise InvalidInput.at(field or what, rule) from None
    except RecursionError:
        raise MalformedBody(f"the {what} is nested too deeply") from None
    except UnicodeDecodeError:
        raise MalformedBody(f"the {what} is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        if not body.strip():
            raise MalformedBody(f"the {what} is empty; send JSON") from None
        raise MalformedBody(f"the {what} is not valid JSON: {error}") from None


def decode_any(text: Body, *, what: str) -> Any:
    """Decode any JSON value; raises like `decode_as`."""
    return decode_as(_any, text, what=what)


def encode_json(value: Any) -> bytes:
    """Encode as JSON in UTF-8. NumPy arrays of float32 are written with their shortest digits; NaN
    and infinity, which JSON cannot express, become null.
    """
    return orjson.dumps(value, option=_OPTIONS, default=str)


def encoded_list(values: Sequence[Any]) -> Any:
    """Return a list for `encode_json` whose elements are encoded one by one when there are many, so
    that no call takes long.
    """
    if len(values) <= ELEMENTS_PER_CALL:
        return values
    return orjson.Fragment(b"[" + b",".join(map(encode_json, values)) + b"]")


def encoded_array(array: npt.NDArray[Any]) -> Any:
    """Return an array [elements] of numbers for `encode_json`; a large one is encoded in slices."""
    if array.size <= NUMBERS_PER_CALL:
        return array
    slices = (array[at : at + NUMBERS_PER_CALL] for at in range(0, array.size, NUMBERS_PER_CALL))
    return orjson.Fragment(b"[" + b",".join(encode_json(each)[1:-1] for each in slices) + b"]")


class _JsonResponse(BodyResponse):
    """A response with the two headers that every JSON body has, made without Starlette's rules for
    all others: every prediction has one.
    """

    def __init__(self, body: bytes, status: int) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [
            _CONTENT_TYPE,
            (b"content-length", b"%d" % len(body)),
        ]


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response whose body is the value as JSON."""
    response = _JsonResponse(encode_json(value), status)
    if headers:
        response.headers.update(headers)
    return response
