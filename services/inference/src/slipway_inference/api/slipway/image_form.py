"""Images sent as a form: one `file`, and optional `parameters` as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from slipway_core.errors import InvalidInput, MalformedBody
from slipway_inference.http.json import decode_any
from slipway_inference.http.validation import MAX_FIELD_CHARACTERS

MAX_PARAMETER_BYTES = 64 * 1024
MAX_SHOWN_CAUSE_CHARACTERS = 200
IMAGE_FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "parameters": {"type": "string", "description": "A JSON object."},
    },
}


async def read_image_form(request: Request, body: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return the image and the parameters of a multipart form.

    Raises InvalidInput and MalformedBody.
    """
    form = await _parse(request, body)
    try:
        for name in form:
            if name not in IMAGE_FORM_SCHEMA["properties"]:
                shown = name[:MAX_FIELD_CHARACTERS]
                raise InvalidInput.at(shown, "is not a field of this form")
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidInput.at("file", "must be one file: the image")
        return await file.read(), _read_parameters(form.get("parameters"))
    finally:
        await form.close()


async def _parse(request: Request, body: bytes) -> FormData:
    async def chunks() -> AsyncIterator[bytes]:
        yield body
        yield b""

    try:
        parser = MultiPartParser(
            request.headers,
            chunks(),  # type: ignore[arg-type]
            max_files=1,
            max_fields=1,
            max_part_size=MAX_PARAMETER_BYTES,
        )
        return await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError, LookupError) as error:
        cause = str(error)[:MAX_SHOWN_CAUSE_CHARACTERS]
        raise MalformedBody(f"the form cannot be read: {cause}") from None


def _read_parameters(value: UploadFile | str | None) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, UploadFile):
        raise InvalidInput.at("parameters", "must be a plain field with a JSON object")
    parameters = decode_any(value.encode("utf-8", "replace"), what="field `parameters`")
    if not isinstance(parameters, dict):
        raise InvalidInput.at("parameters", "must be a JSON object")
    return parameters
