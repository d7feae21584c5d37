"""JSON: request bodies into checked structures, and values into response bodies."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import orjson
from starlette.responses import Response

from slipway_core.errors import InvalidInput, MalformedBody
from slipway_inference.http.bodies import JSON
from slipway_inference.http.validation import explain

T = TypeVar("T")

_any = msgspec.json.Decoder(Any)
_CONTENT_TYPE = (b"content-type", JSON.encode())
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def decode_as(decoder: msgspec.json.Decoder[T], body: bytes, *, what: str = "body") -> T:
    """Decode JSON as the decoder's type. `what` names the text in error messages.

    Raises MalformedBody when it is not JSON, InvalidInput when it is JSON of another form.
    """
    try:
        return decoder.decode(body)
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


def decode_any(text: bytes, *, what: str) -> Any:
    """Decode any JSON value; raises like `decode_as`."""
    return decode_as(_any, text, what=what)


def encode_json(value: Any) -> bytes:
    """Encode as JSON in UTF-8. NumPy arrays of float32 are written with their shortest digits; NaN
    and infinity, which JSON cannot express, become null.
    """
    return orjson.dumps(value, option=_OPTIONS, default=str)


class _JsonResponse(Response):
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
