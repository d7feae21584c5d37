"""The JSON bodies that clients send; the same classes check requests and fill the API document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from slipway_core.inputs.parsing import MOST_LABELS
from slipway_core.webhooks.address_policy import MAX_URL_LENGTH

Label = Annotated[str, Meta(min_length=1, max_length=1000)]
Labels = Annotated[
    list[Label],
    Meta(
        max_length=MOST_LABELS,
        description="Classify instead: the prediction says how near the text is to each label.",
        examples=[["sports", "politics"]],
        extra_json_schema={"uniqueItems": True},
    ),
]
Parameters = Annotated[
    dict[str, Any], Meta(description="Options that the model itself understands.", examples=[{}])
]
DeadlineSeconds = Annotated[
    float,
    Meta(gt=0, le=30 * 86_400, description="What has not run after this time expires."),
]
WebhookUrl = Annotated[
    str,
    Meta(
        max_length=MAX_URL_LENGTH,
        description="Called with the job's final status, signed, at least once.",
        examples=["https://example.com/hooks/slipway"],
    ),
]


Text = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1_000_000,
        description="The text; what exceeds the model's longest input is cut off.",
        examples=["A ship slides down the slipway."],
    ),
]
Texts = Annotated[list[Text], Meta(min_length=1, examples=[["first text", "second text"]])]


class TextRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text to embed or to classify."""

    input_text: Text
    labels: Labels = []
    parameters: Parameters = {}


class TextsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several texts at once; the answer has a row for each."""

    inputs: Texts
    labels: Labels = []
    parameters: Parameters = {}


class TextOrTextsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What /predict/text reads: one of the two above."""

    input_text: Text | UnsetType = UNSET
    inputs: Texts | UnsetType = UNSET
    labels: Labels = []
    parameters: Parameters = {}


class TabularRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows for a tensor model: lists, records, or one object of named columns."""

    inputs: Annotated[
        list[Any] | dict[str, Any],
        Meta(
            description="A list of rows or of records, or an object of columns of equal length.",
            examples=[[[5.1, 3.5, 1.4, 0.2]]],
        ),
    ]
    parameters: Parameters = {}


class ImageRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One picture for a tensor model; the same fields come as a form with the picture as `file`."""

    image: Annotated[
        str,
        Meta(min_length=1, description="The picture's bytes (PNG, JPEG, ...) in base64."),
    ]
    parameters: Parameters = {}


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch job small enough to be sent at once; longer ones come as NDJSON."""

    inputs: Annotated[
        list[Any],
        Meta(
            min_length=1,
            description="Texts, rows or pictures in base64; or objects as /predict takes them.",
            examples=[["first text", "second text"]],
        ),
    ]
    labels: Labels = []
    parameters: Parameters = {}
    deadline_seconds: DeadlineSeconds | None = None
    webhook_url: WebhookUrl | None = None


class EmbeddingsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts to embed, as OpenAI's clients send them."""

    model: Annotated[str, Meta(description="Name of the model served.", examples=["minilm"])]
    input: (
        Text
        | Annotated[
            list[Any],
            Meta(
                min_length=1,
                description="Texts; token ids are not taken.",
                extra_json_schema={"items": {"type": "string", "minLength": 1}},
            ),
        ]
    )
    encoding_format: Annotated[
        Literal["float", "base64"] | None,
        Meta(description="base64: of the vector's float32 numbers, little-endian."),
    ] = None
    dimensions: Annotated[
        int | None, Meta(description="The size of the model's vectors; nothing else is taken.")
    ] = None
    user: Annotated[str | None, Meta(description="Is not looked at.")] = None
