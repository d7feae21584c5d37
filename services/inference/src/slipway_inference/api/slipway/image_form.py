"""Images sent as a form: one `file`, and optional `parameters` as JSON.

A form of two parts is cut at its boundaries. Parsers of forms of any size call back for each line
end within a part, which takes minutes for an image made of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers

from slipway_core.errors import InvalidInput, MalformedBody
from slipway_inference.http.bodies import Body
from slipway_inference.http.json import decode_any
from slipway_inference.http.validation import MAX_FIELD_CHARACTERS

MAX_PARTS = 2
MAX_PART_HEADER_BYTES = 8 * 1024
MAX_PARAMETER_BYTES = 64 * 1024
MAX_BOUNDARY_BYTES = 256
IMAGE_FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "parameters": {"type": "string", "description": "A JSON object."},
    },
}
_LINE_END = b"\r\n"


class _Part(NamedTuple):
    name: str
    is_file: bool
    content: Body


def read_image_form(headers: Headers, body: Body) -> tuple[Body, dict[str, Any]]:
    """Return the image and the parameters of a multipart form.

    Raises InvalidInput and MalformedBody.
    """
    parts: dict[str, _Part] = {}
    for part in _split(body, _boundary(headers)):
        if part.name not in IMAGE_FORM_SCHEMA["properties"]:
            shown = part.name[:MAX_FIELD_CHARACTERS]
            raise InvalidInput.at(shown, "is not a field of this form")
        if part.name in parts:
            raise _malformed(f"it has the field {part.name} twice")
        parts[part.name] = part
    file = parts.get("file")
    if file is None or not file.is_file:
        raise InvalidInput.at("file", "must be one file: the image")
    return file.content, _read_parameters(parts.get("parameters"))


def _boundary(headers: Headers) -> bytes:
    _, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES:
        raise _malformed("Content-Type has no boundary")
    return boundary


def _split(body: Body, boundary: bytes) -> list[_Part]:
    """Return the parts between the boundaries (RFC 2046, section 5.1.1)."""
    delimiter = _LINE_END + b"--" + boundary
    start = 0 if body.startswith(delimiter[2:]) else body.find(delimiter) + len(_LINE_END)
    if start == 1:
        raise _malformed("its boundary is missing")
    sections = body[start + len(delimiter) - len(_LINE_END) :].split(delimiter, MAX_PARTS + 1)
    *complete, last = sections
    if not last.startswith(b"--"):
        if len(complete) > MAX_PARTS:
            raise _malformed(f"it has more than {MAX_PARTS} parts")
        raise _malformed("its last boundary is missing")
    return [_read_part(section) for section in complete]


def _read_part(section: Body) -> _Part:
    """Return a part from the bytes after its boundary: headers, an empty line, the content."""
    line_end = section.find(_LINE_END, 0, MAX_PART_HEADER_BYTES)
    headers_end = section.find(_LINE_END * 2, 0, MAX_PART_HEADER_BYTES)
    if line_end < 0 or section[:line_end].strip(b" \t") or headers_end < 0:
        raise _malformed(f"a part has no headers, or more than {MAX_PART_HEADER_BYTES} bytes")
    disposition: Body = b""
    for line in section[line_end:headers_end].split(_LINE_END):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            disposition = value.strip()
    _, options = parse_options_header(bytes(disposition))
    if b"name" not in options:
        raise _malformed("a part has no name in its Content-Disposition")
    content = section[headers_end + 2 * len(_LINE_END) :]
    return _Part(options[b"name"].decode("utf-8", "replace"), b"filename" in options, content)


def _read_parameters(part: _Part | None) -> dict[str, Any]:
    if part is None:
        return {}
    if part.is_file:
        raise InvalidInput.at("parameters", "must be a plain field with a JSON object")
    if len(part.content) > MAX_PARAMETER_BYTES:
        raise _malformed(f"the field parameters has more than {MAX_PARAMETER_BYTES} bytes")
    parameters = decode_any(part.content, what="field `parameters`")
    if not isinstance(parameters, dict):
        raise InvalidInput.at("parameters", "must be a JSON object")
    return parameters


def _malformed(cause: str) -> MalformedBody:
    return MalformedBody(f"the form cannot be read: {cause}")
