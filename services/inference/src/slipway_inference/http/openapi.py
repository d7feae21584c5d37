"""Builds the API document: schemas from the request and response classes, examples, true errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from slipway_core import errors
from slipway_core.errors import SlipwayError
from slipway_core.webhooks.address_policy import MAX_URL_LENGTH
from slipway_inference.api import requests, responses
from slipway_inference.api.open_inference.requests import InferRequest
from slipway_inference.http import problem
from slipway_inference.http.bodies import JSON, MULTIPART, NDJSON
from slipway_inference.http.error_answers import inference_error, openai_error, protocol_status

VERSION = "1.0"
_REF = "#/components/schemas/"
Kinds = tuple[type[msgspec.Struct], ...]
_DESCRIPTION = """\
Predictions of one PyTorch model, at once or as durable batch jobs.

Every path also answers under `/models/<name>/`. Errors are `application/problem+json` with a stable
`code`; `retryable` says whether the same request can succeed later, and Retry-After when. Below
`/v1` and `/v2`, where clients of other servers ask, errors have the form that these expect.
"""
_ANYWHERE: tuple[type[SlipwayError], ...] = (errors.UnknownModel, errors.HeadersTooLarge)
_STORE: tuple[type[SlipwayError], ...] = (errors.StoreUnavailable,)
READING: tuple[type[SlipwayError], ...] = (
    errors.MalformedBody,
    errors.RequestTimeout,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidInput,
)
COMPUTING: tuple[type[SlipwayError], ...] = (
    errors.QueueFull,
    errors.ModelNotReady,
    errors.Draining,
    errors.DeadlineExceeded,
    errors.PredictionFailed,
    errors.EngineCrashed,
    errors.InternalError,
)
_COMPONENTS = (
    requests.TextRequest,
    requests.TextsRequest,
    requests.TabularRequest,
    requests.ImageRequest,
    requests.BatchRequest,
    requests.EmbeddingsRequest,
    InferRequest,
    responses.Problem,
    responses.OpenAiError,
    responses.InferError,
    responses.TextAnswer,
    responses.TextsAnswer,
    responses.TabularAnswer,
    responses.ImageAnswer,
    responses.JobAccepted,
    responses.JobStatus,
    responses.JobItem,
    responses.JobProgress,
    responses.LoggedPredictions,
    responses.Embeddings,
    responses.OpenAiModel,
    responses.OpenAiModels,
    responses.InferAnswer,
    responses.ModelMetadata,
    responses.ModelReady,
    responses.ServerMetadata,
    responses.ServerHealth,
    responses.Health,
    responses.Alive,
)
EXAMPLE_ID = "0199d2a4-7c1e-7b3a-9f00-2b6d1c4e8a55"


def install(app: FastAPI) -> None:
    """Make `app.openapi()` return our document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Slipway",
        version=VERSION,
        summary="Serves PyTorch models",
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
        servers=[{"url": ".", "description": "where this document was fetched from"}],
    )
    _, schemas = msgspec.json.schema_components(_COMPONENTS, ref_template=_REF + "{name}")
    document.setdefault("components", {})["schemas"] = dict(sorted(schemas.items()))
    return document


def reference(*kinds: type[msgspec.Struct]) -> dict[str, Any]:
    """A `$ref` to the schema of a class, or to any of several."""
    found = [{"$ref": _REF + kind.__name__} for kind in kinds]
    return found[0] if len(found) == 1 else {"anyOf": found}


@dataclass(frozen=True)
class _ErrorForm:
    """How errors look on some routes."""

    media_type: str
    schema: type[msgspec.Struct]
    status: Callable[[type[SlipwayError]], int]
    example: Callable[[SlipwayError], dict[str, Any]]


_PROBLEMS = _ErrorForm(
    problem.MEDIA_TYPE,
    responses.Problem,
    lambda kind: kind.http_status,
    lambda error: problem.describe(error, "4f1d2c3b5a6978877665544332211000", "/predict/text"),
)
_OPENAI = _ErrorForm(JSON, responses.OpenAiError, protocol_status, openai_error)
_INFERENCE = _ErrorForm(JSON, responses.InferError, protocol_status, inference_error)


def problems(*kinds: type[SlipwayError]) -> dict[int | str, dict[str, Any]]:
    """The error responses of one of our own routes, with one example for each code."""
    return _error_responses(_PROBLEMS, kinds)


def openai_errors(*kinds: type[SlipwayError]) -> dict[int | str, dict[str, Any]]:
    """The same of a route below /v1."""
    return _error_responses(_OPENAI, kinds)


def inference_errors(*kinds: type[SlipwayError]) -> dict[int | str, dict[str, Any]]:
    """The same of a route below /v2."""
    return _error_responses(_INFERENCE, kinds)


def _error_responses(
    form: _ErrorForm, kinds: Sequence[type[SlipwayError]]
) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {}
    for kind in sorted({*kinds, *_ANYWHERE}, key=lambda one: (form.status(one), one.__name__)):
        status = form.status(kind)
        entry = found.setdefault(status, _empty_error(form, status))
        examples = entry["content"][form.media_type]["examples"]
        codes = [*examples, kind.__name__]
        entry["description"] = " or ".join(f"`{code}`" for code in codes)
        error = kind("what was wrong, and what to do about it")
        examples[kind.__name__] = {"value": form.example(error)}
    return found


def _empty_error(form: _ErrorForm, status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": "",
        "content": {form.media_type: {"schema": reference(form.schema), "examples": {}}},
    }
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        }
    return response


def success(
    description: str,
    kind: type[msgspec.Struct] | Kinds,
    example: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """A JSON response; `more` are further members of the response object."""
    content: dict[str, Any] = {"schema": reference(*(kind if isinstance(kind, tuple) else [kind]))}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {JSON: content}, **more}


MODEL_PARAMETER = {
    "name": "model",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
}
TIMEOUT_PARAMETER = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "description": "Deadline of this request in milliseconds.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 300_000},
}
_KINDS: dict[str, tuple[Kinds, Kinds]] = {
    "text": (
        (requests.TextRequest, requests.TextsRequest),
        (responses.TextAnswer, responses.TextsAnswer),
    ),
    "tabular": ((requests.TabularRequest,), (responses.TabularAnswer,)),
    "image": ((requests.ImageRequest,), (responses.ImageAnswer,)),
}
_INPUTS: dict[str, dict[str, Any]] = {
    "text": {
        "embedding": {"value": {"input_text": "A ship slides down the slipway."}},
        "classification": {
            "value": {"input_text": "The match ended 2:1.", "labels": ["sports", "politics"]}
        },
        "several": {"value": {"inputs": ["first text", "second text"]}},
    },
    "tabular": {
        "rows": {"value": {"inputs": [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]]}},
        "columns": {"value": {"inputs": {"length": [5.1, 6.2], "width": [3.5, 2.9]}}},
    },
    "image": {"png": {"value": {"image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"}}},
}
_PREDICTIONS: dict[str, Any] = {
    "text": {"embedding": [0.0213, -0.0457, 0.0312]},
    "tabular": {"rows": [{"output": [0.97, 0.02, 0.01]}, {"output": [0.01, 0.9, 0.09]}]},
    "image": {"label": "boat", "score": 0.93},
}


def describe_prediction(modality: str) -> dict[str, Any]:
    """The documentation of POST /predict/<modality>, as arguments of the route's decorator."""
    request, answer = _KINDS[modality]
    content: dict[str, Any] = {JSON: {"schema": reference(*request), "examples": _INPUTS[modality]}}
    if modality == "image":
        content[MULTIPART] = {"schema": _IMAGE_FORM}
    example = {
        "id": EXAMPLE_ID,
        "model": "minilm",
        "version": "1.0",
        "model_digest": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "modality": modality,
        "prediction": _PREDICTIONS[modality],
        "latency_ms": 7.402,
    }
    return {
        "summary": f"Predict from {_WORDS[modality]}",
        "response_class": Response,
        "responses": {
            200: success("The prediction", answer, example),
            **problems(
                *READING,
                errors.UnknownModality,
                *COMPUTING,
            ),
        },
        "openapi_extra": {
            "parameters": [TIMEOUT_PARAMETER],
            "requestBody": {"required": True, "content": content},
        },
    }


_WORDS = {"text": "a text", "tabular": "rows of a table", "image": "a picture"}
_PLURALS = {"text": "texts", "tabular": "rows of a table", "image": "pictures"}
_IMAGE_FORM = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "parameters": {"type": "string", "description": "A JSON object."},
    },
}


def describe_submission(modality: str) -> dict[str, Any]:
    """The documentation of POST /predict/<modality>/batch."""
    example = {
        "task_id": EXAMPLE_ID,
        "status": "queued",
        "total": 2,
        "status_url": f"/predict/status/{EXAMPLE_ID}",
    }
    location = {"Location": {"schema": {"type": "string"}, "description": "The status_url."}}
    line = '"first text"\n{"input_text": "second text"}\n'
    return {
        "summary": f"Submit a batch of {_PLURALS[modality]}",
        "response_class": Response,
        "status_code": 202,
        "responses": {
            202: success("The job is stored", responses.JobAccepted, example, headers=location),
            **problems(
                *READING,
                *_STORE,
                errors.UnknownModality,
                errors.IdempotencyConflict,
                errors.WebhookRefused,
                errors.QueueFull,
                errors.TooManyStreams,
                errors.ModelNotReady,
                errors.InternalError,
            ),
        },
        "openapi_extra": {
            "parameters": _SUBMISSION_PARAMETERS,
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {"schema": reference(requests.BatchRequest)},
                    NDJSON: {"schema": {"type": "string"}, "example": line},
                },
            },
        },
    }


_ONLY_NDJSON = "For NDJSON bodies; JSON bodies have a member of this name. "
_SUBMISSION_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Submitting again under the same key gives the same job, not a second one.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    {
        "name": "labels",
        "in": "query",
        "description": _ONLY_NDJSON + "Give it once for each label.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    {
        "name": "parameters",
        "in": "query",
        "description": _ONLY_NDJSON + "A JSON object.",
        "schema": {"type": "string"},
    },
    {
        "name": "deadline_seconds",
        "in": "query",
        "description": _ONLY_NDJSON + "What has not run after this time expires.",
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 2_592_000},
    },
    {
        "name": "webhook_url",
        "in": "query",
        "description": _ONLY_NDJSON + "Called with the job's final status, at least once.",
        "schema": {"type": "string", "maxLength": MAX_URL_LENGTH},
    },
]
