"""Pictures sent as a form: one `file`, and optional `parameters` as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from slipway_core.errors import InvalidInput, MalformedBody
from slipway_inference.http.decoding import decode_any

_MOST_PARAMETER_BYTES = 64 * 1024


async def read_image_form(request: Request, body: bytes) -> tuple[bytes, dict[str, Any]]:
    """The picture and the parameters of a multipart form. Raises InvalidInput, MalformedBody."""
    form = await _parse(request, body)
    try:
        for name in form:
            if name not in ("file", "parameters"):
                raise InvalidInput.at(name[:128], "is not a field of this form")
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidInput.at("file", "must be one file: the picture")
        return await file.read(), _read_parameters(form.get("parameters"))
    finally:
        await form.close()


async def _parse(request: Request, body: bytes) -> FormData:
    async def whole() -> AsyncIterator[bytes]:
        yield body
        yield b""

    try:
        parser = MultiPartParser(
            request.headers,
            whole(),  # type: ignore[arg-type]
            max_files=1,
            max_fields=1,
            max_part_size=_MOST_PARAMETER_BYTES,
        )
        return await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError, LookupError) as error:
        raise MalformedBody(f"the form cannot be read: {str(error)[:200]}") from None


def _read_parameters(value: UploadFile | str | None) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, UploadFile):
        raise InvalidInput.at("parameters", "must be a plain field with a JSON object")
    parameters = decode_any(value.encode("utf-8", "replace"), what="field `parameters`")
    if not isinstance(parameters, dict):
        raise InvalidInput.at("parameters", "must be a JSON object")
    return parameters
