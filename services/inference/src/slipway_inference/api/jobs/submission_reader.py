"""Reads submissions of batch jobs, in JSON or NDJSON."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from starlette.requests import Request

from slipway_core.errors import InvalidInput
from slipway_core.inputs.parsing import check_labels, check_parameters
from slipway_core.package.manifest import Manifest
from slipway_core.store.records import NewItem, NewJob
from slipway_inference.api.jobs.job_items import JobItems
from slipway_inference.api.jobs.schemas import BatchRequest, DeadlineSeconds, WebhookUrl
from slipway_inference.http.bodies import (
    JSON,
    NDJSON,
    Body,
    BodyReader,
    check_content_length,
    media_type,
)
from slipway_inference.http.context import context_of
from slipway_inference.http.json import decode_any, decode_as
from slipway_inference.http.ndjson import read_lines
from slipway_inference.http.openapi import parameter
from slipway_inference.serving.served_model import ServedModel
from slipway_inference.settings import InferenceSettings

IDEMPOTENCY_KEY_HEADER = "Idempotency-Key"
_VALID_KEY = re.compile(r"^[!-~]{1,255}$")
_OPTIONS = ("labels", "parameters", "deadline_seconds", "webhook_url")
"""Members of BatchRequest that come in the query of an NDJSON body."""
_batch = msgspec.json.Decoder(BatchRequest)


@dataclass(frozen=True, slots=True)
class Submission:
    """A job and its inputs, which are read while they are stored."""

    job: NewJob
    items: AsyncIterator[NewItem]


class SubmissionReader:
    """Reads jobs for one model."""

    def __init__(self, settings: InferenceSettings, model: ServedModel, bodies: BodyReader) -> None:
        self._settings = settings
        self._model = model
        self._bodies = bodies

    async def read(self, request: Request, modality: str) -> Submission:
        """Read the options, and with a JSON body the inputs too; NDJSON is left to be streamed.

        Raises InvalidInput, MalformedBody, PayloadTooLarge, UnsupportedMediaType, ModelNotReady.
        """
        settings, context = self._settings, context_of(request.scope)
        kind = media_type(context, JSON, NDJSON)
        key = _read_idempotency_key(request)
        if kind == JSON:
            _reject_query_options(request)
            content = await self._bodies.read(request)
            body = await self._bodies.parse(request, content, self._decode)
            job = self._new_job(modality, body, key)
            return Submission(job, self._items(job).from_list(body.inputs, len(content)))
        check_content_length(context, settings.max_stream_bytes)
        job = self._new_job(modality, _read_query_options(request), key)
        chunks = self._bodies.stream(request, settings.max_stream_bytes)
        lines = read_lines(chunks, settings.max_line_bytes)
        return Submission(job, self._items(job).from_lines(lines))

    def _decode(self, content: Body) -> BatchRequest:
        return decode_as(_batch, content, limits=self._bodies.json_limits)

    def _items(self, job: NewJob) -> JobItems:
        return JobItems(self._model, job.modality, job.labels, self._bodies.large_work)

    def _new_job(self, modality: str, options: BatchRequest, key: str | None) -> NewJob:
        """Return the job. Raises InvalidInput for options that this model does not take."""
        manifest = self._model.manifest
        return NewJob(
            queue=self._settings.queue_name,
            model=manifest.name,
            version=manifest.version,
            model_digest=manifest.digest,
            modality=modality,
            labels=_checked_labels(manifest, options),
            parameters=check_parameters(options.parameters) if options.parameters else {},
            idempotency_key=key,
            deadline_after=_deadline_after(options),
            webhook_url=options.webhook_url,
        )


def _checked_labels(manifest: Manifest, options: BatchRequest) -> tuple[str, ...]:
    return check_labels(manifest, options.labels) if options.labels else ()


def _deadline_after(options: BatchRequest) -> timedelta | None:
    seconds = options.deadline_seconds
    return None if seconds is None else timedelta(seconds=seconds)


def _read_idempotency_key(request: Request) -> str | None:
    key = request.headers.get(IDEMPOTENCY_KEY_HEADER)
    if key is not None and not _VALID_KEY.fullmatch(key):
        raise InvalidInput.at(IDEMPOTENCY_KEY_HEADER, "must be 1 to 255 visible ASCII characters")
    return key


def _read_query_options(request: Request) -> BatchRequest:
    """Read the options of an NDJSON body, by the same rules as those of a JSON body."""
    query = request.query_params
    options: dict[str, Any] = {"inputs": [None]}
    if "parameters" in query:
        options["parameters"] = decode_any(query["parameters"].encode(), what="parameters")
    if "deadline_seconds" in query:
        options["deadline_seconds"] = _read_number(query, "deadline_seconds")
    if "webhook_url" in query:
        options["webhook_url"] = query["webhook_url"]
    if labels := query.getlist("labels"):
        options["labels"] = labels
    return decode_as(_batch, msgspec.json.encode(options), what="query")


def _reject_query_options(request: Request) -> None:
    for name in _OPTIONS:
        if name in request.query_params:
            raise InvalidInput.at(name, "belongs in the JSON body; only NDJSON has it in the query")


def _read_number(query: Mapping[str, str], name: str) -> float:
    try:
        value = float(query[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput.at(name, "must be a number")
    return value


def _query_option(name: str, kind: Any) -> dict[str, Any]:
    """Document an option by the schema of its member of the JSON body."""
    schema = msgspec.json.schema(kind)
    schema.pop("examples", None)
    description = _ONLY_NDJSON + schema.pop("description")
    return parameter(name, "query", schema, description)


_ONLY_NDJSON = "For NDJSON bodies; JSON bodies have a member of this name. "
QUERY_PARAMETERS: list[dict[str, Any]] = [
    parameter(
        IDEMPOTENCY_KEY_HEADER,
        "header",
        {"type": "string", "pattern": _VALID_KEY.pattern},
        "Submitting again under the same key gives the same job, not a second one.",
    ),
    parameter(
        "labels",
        "query",
        {"type": "array", "items": {"type": "string"}},
        _ONLY_NDJSON + "Give it once for each label.",
    ),
    parameter("parameters", "query", {"type": "string"}, _ONLY_NDJSON + "A JSON object."),
    _query_option("deadline_seconds", DeadlineSeconds),
    _query_option("webhook_url", WebhookUrl),
]
"""Documentation of the header and the options that are read here."""
