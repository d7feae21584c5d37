"""Validates inputs and turns them into Items, for realtime requests and batch jobs alike.

Needs no torch: engines decode images and tokenize text.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Any

from slipway_core.errors import InvalidInput, UnknownModality
from slipway_core.inputs.image_header import FORMATS, ImageLimits, read_image_size
from slipway_core.inputs.items import Item
from slipway_core.inputs.json_values import MAX_TEXT_CHARACTERS, check_json, check_text, json_type
from slipway_core.inputs.rows import parse_row, parse_table
from slipway_core.package.manifest import Manifest

DEFAULT_IMAGE_LIMITS = ImageLimits()
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_LABELS = 100
MAX_LABEL_CHARACTERS = 1_000

MAX_BASE64_CHARACTERS = MAX_IMAGE_BYTES * 3 // 2
"""Room for the largest image with a line break after each 76 characters, or even each 12."""
_LINE_BREAKS = b"\r\n\t "
_DATA_URL = re.compile(r"^data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


def parse_input(
    manifest: Manifest,
    modality: str,
    raw: Any,
    *,
    field: str,
    labels: Sequence[str] = (),
    parameters: dict[str, Any] | None = None,
    image_limits: ImageLimits = DEFAULT_IMAGE_LIMITS,
) -> Item:
    """Return the Item of one input: a string, a row, or an image as bytes or base64.

    Raises UnknownModality, and InvalidInput that names `field`, the value within it, `labels` or
    `parameters`.
    """
    (item,) = parse_inputs(
        manifest,
        modality,
        [(field, raw)],
        labels=labels,
        parameters=parameters,
        image_limits=image_limits,
    )
    return item


def parse_inputs(
    manifest: Manifest,
    modality: str,
    values: Iterable[tuple[str, Any]],
    *,
    labels: Sequence[str] = (),
    parameters: dict[str, Any] | None = None,
    image_limits: ImageLimits = DEFAULT_IMAGE_LIMITS,
) -> list[Item]:
    """Return the Items of several pairs (field, input). Raises like `parse_input`."""
    checked_labels = check_labels(manifest, labels) if labels else ()
    checked_parameters = check_parameters(parameters) if parameters else {}
    check_modality(manifest, modality)
    if modality == "text":
        return [
            Item(modality, _parse_text(raw, field), checked_labels, checked_parameters)
            for field, raw in values
        ]
    if modality == "image":
        return [
            Item(
                modality, _parse_image(raw, field, image_limits), checked_labels, checked_parameters
            )
            for field, raw in values
        ]
    return [
        Item(modality, parse_row(manifest, raw, field), checked_labels, checked_parameters)
        for field, raw in values
    ]


def parse_rows(
    manifest: Manifest, raw: Any, *, field: str, parameters: dict[str, Any] | None = None
) -> list[Item]:
    """Return the Items of a list of rows, a list of records, or an object of named columns.

    Raises UnknownModality, and InvalidInput that names the number, for example `inputs.3.age`.
    """
    check_modality(manifest, "tabular")
    checked_parameters = check_parameters(parameters) if parameters else {}
    return [
        Item("tabular", row, (), checked_parameters) for row in parse_table(manifest, raw, field)
    ]


def check_modality(manifest: Manifest, modality: str) -> None:
    """Raise UnknownModality unless the model serves the modality."""
    served = manifest.served_modalities()
    if modality not in served:
        raise UnknownModality(f"this model serves {', '.join(served)}, not '{modality}'")


def check_labels(manifest: Manifest, labels: Any) -> tuple[str, ...]:
    """Check the labels of a zero-shot classification: 1 to 100 different strings.

    Raises InvalidInput.
    """
    if manifest.runtime != "bert":
        raise InvalidInput.at(
            "labels", "are not taken by this model: leave them out of the request"
        )
    if not isinstance(labels, list | tuple) or not 1 <= len(labels) <= MAX_LABELS:
        raise InvalidInput.at("labels", f"must be a list of 1 to {MAX_LABELS} texts")
    for index, label in enumerate(labels):
        _parse_text(label, f"labels.{index}", MAX_LABEL_CHARACTERS)
        if label in labels[:index]:
            raise InvalidInput.at(f"labels.{index}", "is given twice")
    return tuple(labels)


def check_parameters(parameters: Any) -> dict[str, Any]:
    """Check the parameters for a model: a JSON object within the limits of `check_json`.

    Raises InvalidInput.
    """
    if not isinstance(parameters, dict):
        raise InvalidInput.at("parameters", "must be an object")
    check_json(parameters, "parameters")
    return parameters


def _parse_text(raw: Any, field: str, max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    if not isinstance(raw, str):
        raise InvalidInput.at(field, f"must be a text, not {json_type(raw)}")
    if not raw or raw.isspace():
        raise InvalidInput.at(field, "must not be empty")
    check_text(raw, field, max_characters)
    return raw


def _parse_image(raw: Any, field: str, limits: ImageLimits) -> bytes:
    if isinstance(raw, str):
        raw = _decode_base64(raw, field)
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise InvalidInput.at(field, f"must be an image in base64, not {json_type(raw)}")
    image = bytes(raw)
    if not image:
        raise InvalidInput.at(field, "must not be empty")
    if len(image) > MAX_IMAGE_BYTES:
        raise InvalidInput.at(field, f"must be an image of at most {MAX_IMAGE_BYTES} bytes")
    size = read_image_size(image)
    if size is None:
        raise InvalidInput.at(field, f"must be a whole image in one of {', '.join(FORMATS)}")
    if excess := limits.find_excess(size):
        raise InvalidInput.at(field, excess)
    return image


def _decode_base64(text: str, field: str) -> bytes:
    """Decode base64, also within a data: URL, and with the line breaks of MIME (RFC 2045)."""
    encoded = text[match.end() :] if (match := _DATA_URL.match(text)) else text
    if len(encoded) > MAX_BASE64_CHARACTERS:
        raise InvalidInput.at(field, f"must be an image of at most {MAX_IMAGE_BYTES} bytes")
    try:
        return binascii.a2b_base64(
            encoded.encode("ascii").translate(None, _LINE_BREAKS), strict_mode=True
        )
    except UnicodeEncodeError:
        raise InvalidInput.at(field, "must be base64: it has characters outside ASCII") from None
    except binascii.Error as error:
        raise InvalidInput.at(field, f"must be the bytes of an image in base64: {error}") from None
