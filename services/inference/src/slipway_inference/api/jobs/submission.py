"""What a client asked for with a batch job, whichever form it came in."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request

from slipway_core.errors import InvalidInput
from slipway_core.identifiers import uuid7
from slipway_core.inputs.parsing import check_labels, check_parameters
from slipway_core.store.records import NewItem, NewJob
from slipway_inference.api.jobs.job_items import JobItems
from slipway_inference.api.requests import BatchRequest
from slipway_inference.http import bodies
from slipway_inference.http.context import context_of
from slipway_inference.http.decoding import decode_any, decode_as
from slipway_inference.http.ndjson import read_lines
from slipway_inference.serving.service import Service

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
_batch = msgspec.json.Decoder(BatchRequest)


@dataclass(frozen=True, slots=True)
class Submission:
    """A job and its inputs, which are read while they are stored."""

    job: NewJob
    items: AsyncIterator[NewItem]


@dataclass(frozen=True, slots=True)
class _Options:
    labels: tuple[str, ...]
    parameters: dict[str, Any]
    deadline: datetime | None
    webhook_url: str | None


async def read_submission(service: Service, request: Request, modality: str) -> Submission:
    """Read the options, and with a JSON body also the inputs; NDJSON is left to be streamed.

    Raises InvalidInput, MalformedBody, PayloadTooLarge, UnsupportedMediaType, ModelNotReady.
    """
    settings, context = service.settings, context_of(request.scope)
    kind = bodies.media_type(context, bodies.JSON, bodies.NDJSON)
    key = _read_idempotency_key(request)
    if kind == bodies.JSON:
        _refuse_query_options(request)
        body = await bodies.read_body(request, settings, service.body_memory)
        asked = decode_as(_batch, body)
        options = _check(service, asked.labels, asked.parameters, asked)
        items = _items(service, modality, options).from_list(asked.inputs)
    else:
        bodies.check_declared_length(context, settings.max_stream_bytes)
        options = _read_query(service, request)
        chunks = bodies.stream_body(request, settings, settings.max_stream_bytes)
        lines = read_lines(chunks, settings.max_line_bytes)
        items = _items(service, modality, options).from_lines(lines)
    return Submission(_new_job(service, modality, options, key), items)


def _items(service: Service, modality: str, options: _Options) -> JobItems:
    return JobItems(service.manifest, modality, options.labels)


def _new_job(service: Service, modality: str, options: _Options, key: str | None) -> NewJob:
    manifest = service.manifest
    return NewJob(
        id=uuid7(),
        queue=service.settings.queue_name,
        model=manifest.name,
        version=manifest.version,
        model_digest=manifest.digest,
        modality=modality,
        labels=options.labels,
        parameters=options.parameters,
        idempotency_key=key,
        deadline=options.deadline,
        webhook_url=options.webhook_url,
    )


def _read_idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidInput.at("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    return key


def _read_query(service: Service, request: Request) -> _Options:
    query = request.query_params
    given: dict[str, Any] = {"inputs": [None]}
    if "parameters" in query:
        given["parameters"] = decode_any(query["parameters"].encode(), what="parameters")
    if "deadline_seconds" in query:
        given["deadline_seconds"] = _number(query, "deadline_seconds")
    if "webhook_url" in query:
        given["webhook_url"] = query["webhook_url"]
    labels = query.getlist("labels")
    if labels:
        given["labels"] = labels
    # Through the same class as a JSON body, so that both forms have the same rules.
    asked = decode_as(_batch, msgspec.json.encode(given), what="query")
    return _check(service, asked.labels, asked.parameters, asked)


def _refuse_query_options(request: Request) -> None:
    for name in ("labels", "parameters", "deadline_seconds", "webhook_url"):
        if name in request.query_params:
            raise InvalidInput.at(name, "belongs into the JSON body; only NDJSON takes it here")


def _number(query: Mapping[str, str], name: str) -> float:
    try:
        value = float(query[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput.at(name, "must be a number")
    return value


def _check(
    service: Service, labels: list[str], parameters: dict[str, Any], asked: BatchRequest
) -> _Options:
    now = datetime.now(UTC)
    wait = asked.deadline_seconds
    return _Options(
        labels=check_labels(service.manifest, labels) if labels else (),
        parameters=check_parameters(parameters) if parameters else {},
        deadline=None if wait is None else now + timedelta(seconds=wait),
        webhook_url=asked.webhook_url,
    )
