"""The one way from a request to its prediction: read, admit, compute, respond, log and count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from slipway_core import errors
from slipway_core.errors import Draining, InternalError, SlipwayError
from slipway_core.inputs.items import Outcome
from slipway_core.store.identifiers import uuid7
from slipway_core.store.records import PredictionRecord
from slipway_inference.http.context import CLIENT_DISCONNECTED, RequestContext, context_of
from slipway_inference.http.disconnect import wait_while_connected
from slipway_inference.http.json import JSON_BYTES_PER_VECTOR_BYTE
from slipway_inference.http.large_work import LargeWork
from slipway_inference.prediction import metrics
from slipway_inference.prediction.log_row import make_row
from slipway_inference.prediction.request import (
    Answer,
    PredictionRequest,
    check_count,
    raise_first_failure,
    read_timeout,
)
from slipway_inference.serving.prediction_log import PredictionLog
from slipway_inference.serving.served_model import ServedModel
from slipway_inference.settings import InferenceSettings

Read = Callable[[Request], Awaitable[PredictionRequest]]
"""Reads and validates the inputs of a request."""
PREDICTION_ERRORS: tuple[type[SlipwayError], ...] = (
    errors.QueueFull,
    errors.ModelNotReady,
    errors.Draining,
    errors.DeadlineExceeded,
    errors.PredictionFailed,
    errors.EngineCrashed,
    errors.InternalError,
)
"""Errors of `Predictor.respond` besides those of reading."""
MIN_TIMEOUT_SECONDS = 0.001
BYTES_PER_PREDICTION = 2048
_LOGGED = (
    errors.InvalidInput,
    errors.PredictionFailed,
    errors.EngineCrashed,
    errors.DeadlineExceeded,
)
"""Errors of requests that reached the model. Rejections such as QueueFull get no rows: a flood of
them would push the predictions out of the log.
"""


class _Conclusion(NamedTuple):
    """What a request ends in: its response or its error, and its row for the prediction log, which
    takes about `row_bytes` of memory.
    """

    ending: Response | SlipwayError
    row: PredictionRecord | None
    row_bytes: int


class Predictor:
    """Responds to realtime predictions of every protocol, so that limits, metrics and the log are
    the same for all.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        model: ServedModel,
        prediction_log: PredictionLog,
        large_work: LargeWork,
    ) -> None:
        self._settings = settings
        self._model = model
        self._prediction_log = prediction_log
        self._large_work = large_work

    async def respond(self, request: Request, modality: str, read: Read) -> Response:
        """Return the response to a prediction.

        Raises what `read` raises, InvalidInput, PayloadTooLarge, PREDICTION_ERRORS, and
        ClientDisconnect.
        """
        try:
            prediction_request = await read(request)
            context = context_of(request.scope)
            outcomes = self._submit(context, prediction_request)
            await wait_while_connected(outcomes, context)
            conclusion = await self._large_work.run(
                _work_size(prediction_request, outcomes),
                partial(self._conclude, context, modality, prediction_request, outcomes),
            )
            response = self._end(context, modality, conclusion)
        except BaseException as error:
            count_prediction(modality, error)
            raise
        count_prediction(modality)
        return response

    def _submit(
        self, context: RequestContext, request: PredictionRequest
    ) -> asyncio.Future[list[Outcome]]:
        """Queue the inputs, to be computed before the request's deadline."""
        if context.disconnected:
            raise ClientDisconnect
        settings = self._settings
        check_count(len(request.items), settings.max_items_per_request, request.field)
        timeout_seconds = read_timeout(
            context,
            default_seconds=settings.request_timeout_seconds,
            max_seconds=settings.max_request_timeout_seconds,
        )
        remaining = max(timeout_seconds - context.elapsed_seconds, MIN_TIMEOUT_SECONDS)
        return self._model.batcher.submit(request.items, request.costs, timeout_seconds=remaining)

    def _conclude(
        self,
        context: RequestContext,
        modality: str,
        request: PredictionRequest,
        computed: asyncio.Future[list[Outcome]],
    ) -> _Conclusion:
        """Render the response and make the row. A large one is concluded off the event loop, so
        nothing that other requests share is changed here.
        """
        answer = Answer(uuid7(), self._model.manifest, modality, context)
        ending: Response | SlipwayError
        try:
            answer.outcomes = computed.result()
            raise_first_failure(answer.outcomes, request.field)
            ending = request.render(answer)
            status, size = "ok", len(ending.body)
        except _LOGGED as error:
            answer.outcomes = []
            ending, status, size = error, error.code, 0
        if not self._prediction_log.is_open:
            return _Conclusion(ending, None, 0)
        keep = self._settings.payload_logging
        return _Conclusion(ending, *make_row(answer, request.items, status, keep, size))

    def _end(self, context: RequestContext, modality: str, conclusion: _Conclusion) -> Response:
        """Log the prediction, and return its response or raise its error."""
        if conclusion.row is not None:
            self._prediction_log.offer(conclusion.row, conclusion.row_bytes)
        if isinstance(conclusion.ending, SlipwayError):
            raise conclusion.ending
        metrics.PREDICTION_LATENCY.labels(modality).observe(context.elapsed_seconds)
        return conclusion.ending


def _work_size(request: PredictionRequest, outcomes: asyncio.Future[list[Outcome]]) -> int:
    """Return by how many bytes the work on a response counts as large: those of the request, or
    about those of several predictions.
    """
    if len(request.items) == 1 or outcomes.exception() is not None:
        return request.size
    width = len(outcomes.result()[0].embedding)
    bytes_per_row = JSON_BYTES_PER_VECTOR_BYTE * width or BYTES_PER_PREDICTION
    return max(request.size, bytes_per_row * len(request.items))


def count_prediction(modality: str, error: BaseException | None = None) -> None:
    """Count a request by how it ended."""
    if error is None:
        metrics.PREDICTION_REQUESTS.labels(modality, "ok", "").inc()
        return
    code = InternalError.__name__
    if isinstance(error, SlipwayError):
        code = error.code
    elif isinstance(error, ClientDisconnect):
        code = CLIENT_DISCONNECTED
    elif isinstance(error, asyncio.CancelledError):
        code = Draining.__name__  # only the end of the server cancels predictions
    metrics.PREDICTION_REQUESTS.labels(modality, "error", code).inc()
