"""Parts of requests that several protocols share."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from slipway_core.errors import UnknownModality
from slipway_core.inputs.json_values import MAX_TEXT_CHARACTERS
from slipway_core.inputs.parsing import MAX_LABEL_CHARACTERS, MAX_LABELS

MAX_SHOWN_MODALITY_CHARACTERS = 64
"""How much of an unknown modality an error repeats."""

Label = Annotated[str, Meta(min_length=1, max_length=MAX_LABEL_CHARACTERS)]
Labels = Annotated[
    list[Label],
    Meta(
        max_length=MAX_LABELS,
        description="Classify the text by these labels instead of returning its embedding.",
        examples=[["sports", "politics"]],
        extra_json_schema={"uniqueItems": True},
    ),
]
Parameters = Annotated[
    dict[str, Any], Meta(description="Options of the model itself.", examples=[{}])
]
Text = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_TEXT_CHARACTERS,
        description="The text. It is truncated to the model's longest input.",
        examples=["A ship slides down the slipway."],
    ),
]
Texts = Annotated[list[Text], Meta(min_length=1, examples=[["first text", "second text"]])]


def unknown_modality(name: str) -> UnknownModality:
    """Return the error for a modality in a path that does not exist."""
    shown = name[:MAX_SHOWN_MODALITY_CHARACTERS]
    return UnknownModality(f"'{shown}' is not a modality; there are text, tabular and image")
