"""Bodies of OpenAI's protocol."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from slipway_inference.prediction.fields import Text


class EmbeddingsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts to embed, as OpenAI's clients send them."""

    model: Annotated[str, Meta(description="Name of the served model.", examples=["minilm"])]
    input: (
        Text
        | Annotated[
            list[Any],
            Meta(
                min_length=1,
                description="Texts; token ids are not accepted.",
                extra_json_schema={"items": {"type": "string", "minLength": 1}},
            ),
        ]
    )
    encoding_format: Annotated[
        Literal["float", "base64"] | None,
        Meta(description="With base64: the little-endian float32 numbers of the vector."),
    ] = None
    dimensions: Annotated[
        int | None, Meta(description="Must be the size of the model's vectors.")
    ] = None
    user: Annotated[str | None, Meta(description="Ignored.")] = None


class Embedding(msgspec.Struct, frozen=True):
    """The vector of one text."""

    object: Literal["embedding"]
    index: Annotated[int, Meta(ge=0, description="Position of the text in the request.")]
    embedding: Annotated[
        list[float] | str, Meta(description="Numbers, or their float32 bytes in base64.")
    ]


class Usage(msgspec.Struct, frozen=True):
    """The cost of the request."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct, frozen=True):
    """The response of /v1/embeddings."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class OpenAiModel(msgspec.Struct, frozen=True):
    """A model, as OpenAI's clients list it."""

    id: Annotated[str, Meta(examples=["minilm"])]
    object: Literal["model"]
    created: Annotated[int, Meta(description="Start of this server, seconds since 1970.")]
    owned_by: str


class OpenAiModels(msgspec.Struct, frozen=True):
    """The models of this server: one."""

    object: Literal["list"]
    data: list[OpenAiModel]


class OpenAiErrorDetail(msgspec.Struct, frozen=True):
    """What was wrong, and what to do about it."""

    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: Annotated[str | None, Meta(description="The member that is invalid.")]
    code: Annotated[str, Meta(description="Stable name of the error, for programs.")]


class OpenAiError(msgspec.Struct, frozen=True):
    """Every error below /v1."""

    error: OpenAiErrorDetail
