"""Bodies of /predict and /predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from slipway_inference.prediction.fields import Labels, Parameters, Text, Texts


class TextRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text to embed or to classify."""

    input_text: Text
    labels: Labels = []
    parameters: Parameters = {}


class TextsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several texts at once. The response has a row for each."""

    inputs: Texts
    labels: Labels = []
    parameters: Parameters = {}


class TextOrTextsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of /predict/text: a TextRequest or a TextsRequest."""

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
    """One image for a tensor model. A form with the image as `file` is accepted too."""

    image: Annotated[
        str,
        Meta(min_length=1, description="The bytes of the image (PNG, JPEG, ...) in base64."),
    ]
    parameters: Parameters = {}


class TextPrediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """An embedding, or with labels the nearest label; other tasks have other members."""

    embedding: list[float | None] = []
    label: str = ""
    score: float = 0.0
    scores: dict[str, float] = {}


class TextsPrediction(msgspec.Struct, frozen=True):
    """One prediction for each text, in order."""

    rows: list[TextPrediction]


class TabularPrediction(msgspec.Struct, frozen=True):
    """One prediction for each row, in order."""

    rows: list[dict[str, Any]]


class _Answer(msgspec.Struct, frozen=True):
    id: Annotated[UUID, Meta(description="The prediction's id, also in the prediction log.")]
    model: Annotated[str, Meta(examples=["minilm"])]
    version: Annotated[str, Meta(examples=["1.0"])]
    model_digest: Annotated[str, Meta(description="sha256 of the model's package.")]
    modality: Literal["text", "tabular", "image"]
    latency_ms: Annotated[
        float, Meta(description="Time from the request's headers to this response.")
    ]


class TextAnswer(_Answer, frozen=True):
    """The response of /predict/text."""

    prediction: TextPrediction


class TextsAnswer(_Answer, frozen=True):
    """The response of /predict/text to several texts."""

    prediction: TextsPrediction


class TabularAnswer(_Answer, frozen=True):
    """The response of /predict/tabular."""

    prediction: TabularPrediction


class ImageAnswer(_Answer, frozen=True):
    """The response of /predict/image. The members of the prediction depend on the model."""

    prediction: dict[str, Any]


class LoggedPrediction(msgspec.Struct, frozen=True):
    """A row of the prediction log."""

    id: UUID
    created_at: datetime
    request_id: str
    model: str
    version: str
    model_digest: str
    modality: str
    status: Annotated[str, Meta(description="ok, or the code of the error.")]
    input: Any
    prediction: dict[str, Any] | None
    latency_ms: float
    tokens: int


class LoggedPredictions(msgspec.Struct, frozen=True):
    """A page of the prediction log, newest first."""

    predictions: list[LoggedPrediction]
    next: str | None
