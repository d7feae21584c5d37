"""JSON into checked structures, with errors that name the field in our own words."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from slipway_core.errors import InvalidInput, MalformedBody

T = TypeVar("T")

_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_INDEX = re.compile(r"\[(\d+)\]")
_NAMED = re.compile(r"(?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`(?P<rule>.*?)(?:, got `(?P<got>[^`]*)`)?")
_TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "object | array": "a list or an object",
    "float | null": "a number",
    "str | null": "a text",
}
_any = msgspec.json.Decoder(Any)


def decode_as(decoder: msgspec.json.Decoder[T], body: bytes, *, what: str = "body") -> T:
    """The body as the decoder's type. `what` is how messages call it.

    Raises MalformedBody when it is not JSON at all, InvalidInput when it is not what is asked for.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error), what) from None
    except RecursionError:
        raise MalformedBody(f"the {what} is nested too deeply") from None
    except UnicodeDecodeError:
        raise MalformedBody(f"the {what} is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        if not body.strip():
            raise MalformedBody(f"the {what} is empty; send JSON") from None
        raise MalformedBody(f"the {what} is not valid JSON: {error}") from None


def decode_any(text: bytes, *, what: str) -> Any:
    """Any JSON value; raises like `decode_as`."""
    return decode_as(_any, text, what=what)


def _explain(message: str, what: str) -> InvalidInput:
    """What msgspec says, as the field's path and a rule.

    For example "Expected `str`, got `int` - at `$.labels[0]`" is about the field `labels.0`.
    """
    matched = _AT.match(message)
    said, path = (matched["what"], matched["path"] or "") if matched else (message, "")
    field = _INDEX.sub(r".\1", path).replace("[...]", "").strip(".")
    if (named := _NAMED.search(said)) is not None:
        field = f"{field}.{named['name']}".strip(".")[:128]
        rule = "is missing" if "missing" in said else "is not a field of this request"
    elif (expected := _EXPECTED.fullmatch(said)) is not None:
        wanted = _TYPES.get(expected["wanted"], expected["wanted"])
        rule = f"must be {wanted}{expected['rule']}"
        if expected["got"]:
            rule += f", not {_TYPES.get(expected['got'], expected['got'])}"
    else:
        rule = said[0].lower() + said[1:].replace("`", "")
    return InvalidInput.at(field or what, rule)
