"""The JSON bodies of answers, for the API document; the routes build the same as plain objects."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

JobStatusName = Literal[
    "queued", "running", "succeeded", "partial", "failed", "cancelled", "expired"
]


class ProblemField(msgspec.Struct, frozen=True):
    """One thing wrong with a request."""

    field: Annotated[str, Meta(examples=["input_text"])]
    message: Annotated[str, Meta(examples=["must not be empty"])]


class Problem(msgspec.Struct, frozen=True):
    """Every error of these routes (RFC 9457)."""

    type: Annotated[str, Meta(examples=["urn:slipway:error:InvalidInput"])]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="What was wrong and what to do, for people.")]
    code: Annotated[str, Meta(description="Stable name of the error, for programs.")]
    instance: Annotated[str, Meta(description="The path that was asked for.")]
    request_id: Annotated[str, Meta(description="The X-Request-ID; the log has it too.")]
    retryable: Annotated[bool, Meta(description="Whether the same request can succeed later.")]
    errors: list[ProblemField]


class TextPrediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """An embedding, or with labels the nearest one; other models add what their task says."""

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
    id: Annotated[UUID, Meta(description="Of this prediction; its row in the log has it too.")]
    model: Annotated[str, Meta(examples=["minilm"])]
    version: Annotated[str, Meta(examples=["1.0"])]
    model_digest: Annotated[str, Meta(description="sha256 of the model's package.")]
    modality: Literal["text", "tabular", "image"]
    latency_ms: Annotated[float, Meta(description="From the request's headers to this answer.")]


class TextAnswer(_Answer, frozen=True):
    """What /predict/text answers."""

    prediction: TextPrediction


class TextsAnswer(_Answer, frozen=True):
    """What /predict/text answers to several texts."""

    prediction: TextsPrediction


class TabularAnswer(_Answer, frozen=True):
    """What /predict/tabular answers."""

    prediction: TabularPrediction


class ImageAnswer(_Answer, frozen=True):
    """What /predict/image answers; the prediction's members depend on the model."""

    prediction: dict[str, Any]


class JobAccepted(msgspec.Struct, frozen=True):
    """A batch job that is safely stored."""

    task_id: UUID
    status: JobStatusName
    total: int
    status_url: Annotated[str, Meta(description="Path to poll; the same as Location.")]


class ItemError(msgspec.Struct, frozen=True):
    """Why one input has no prediction."""

    code: str
    message: str


class JobItem(msgspec.Struct, frozen=True):
    """The result of one input: a prediction or an error."""

    index: Annotated[int, Meta(ge=0, description="Position of the input in the job, from 0.")]
    attempts: int
    prediction: dict[str, Any] | None = None
    error: ItemError | None = None


class JobStatus(msgspec.Struct, frozen=True):
    """A batch job, and one page of its results."""

    task_id: UUID
    status: JobStatusName
    model: str
    version: str
    modality: str
    total: int
    succeeded: int
    failed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    reason: str | None
    results: list[JobItem]
    next: Annotated[
        str | None, Meta(description="Path of the next page; null when there is none now.")
    ]


class JobProgress(msgspec.Struct, frozen=True):
    """The data of a `progress` or `done` event."""

    task_id: UUID
    status: JobStatusName
    total: int
    succeeded: int
    failed: int


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


class QueueHealth(msgspec.Struct, frozen=True):
    """How full the queue in front of the model is."""

    tokens: int
    max_tokens: int
    requests: int


class LogHealth(msgspec.Struct, frozen=True):
    """Rows of the prediction log since the process started."""

    written: int
    waiting: int
    dropped: int


Dependency = Literal["ok", "unavailable", "not configured"]


class Health(msgspec.Struct, frozen=True):
    """Summary of the service. `degraded`: predictions are answered, but something else is not."""

    status: Literal["ok", "degraded", "unavailable"]
    reasons: list[str]
    model: str
    version: str
    model_digest: str
    modalities: Annotated[
        list[Literal["text", "tabular", "image"]],
        Meta(description="What the model answers; empty while it loads."),
    ]
    columns: Annotated[
        list[str], Meta(description="Names of the numbers of a tabular row, where there are any.")
    ]
    device: Annotated[str, Meta(description="Where the model computes; empty while it loads.")]
    precision: Annotated[str, Meta(description="The model's number format; empty while it loads.")]
    precision_reason: Annotated[str, Meta(description="Why it has that format, with figures.")]
    queue: QueueHealth
    database: Dependency
    redis: Dependency
    prediction_log: LogHealth
    uptime_seconds: float


class Alive(msgspec.Struct, frozen=True):
    """The process runs, or the model is ready."""

    status: Literal["alive", "ready"]


class Embedding(msgspec.Struct, frozen=True):
    """The vector of one text."""

    object: Literal["embedding"]
    index: Annotated[int, Meta(ge=0, description="Position of the text in the request.")]
    embedding: Annotated[
        list[float] | str, Meta(description="Numbers, or their float32 bytes in base64.")
    ]


class Usage(msgspec.Struct, frozen=True):
    """What the request cost."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct, frozen=True):
    """What /v1/embeddings answers."""

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
    param: Annotated[str | None, Meta(description="The member that is wrong.")]
    code: Annotated[str, Meta(description="Stable name of the error, for programs.")]


class OpenAiError(msgspec.Struct, frozen=True):
    """Every error below /v1."""

    error: OpenAiErrorDetail


class InferError(msgspec.Struct, frozen=True):
    """Every error below /v2."""

    error: Annotated[str, Meta(description="Its stable name, and what was wrong.")]


class InferTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor of an answer: its elements row by row in `data`, or after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] = []


class InferAnswer(msgspec.Struct, frozen=True):
    """What /v2/models/{model}/infer answers."""

    model_name: str
    model_version: str
    id: Annotated[str, Meta(description="That of the request, or else of this prediction.")]
    outputs: list[InferTensor]


class TensorMetadata(msgspec.Struct, frozen=True):
    """A tensor that goes in or comes out; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """The tensors of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(msgspec.Struct, frozen=True):
    """The model answers."""

    name: str
    ready: bool


class ServerMetadata(msgspec.Struct, frozen=True):
    """What speaks here."""

    name: str
    version: str
    extensions: list[str]


class ServerHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server runs, or it is ready."""

    live: bool
    ready: bool = False
