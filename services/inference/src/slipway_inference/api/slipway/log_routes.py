"""GET /predictions: the prediction log, newest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from slipway_core import errors
from slipway_core.store.records import PredictionFilter, PredictionRecord
from slipway_inference.api.slipway.schemas import LoggedPrediction, LoggedPredictions
from slipway_inference.http.context import context_of
from slipway_inference.http.json import JSON_BYTES_PER_VECTOR_BYTE, encoded_list, json_response
from slipway_inference.http.large_work import LargeWork
from slipway_inference.http.openapi import error_responses, success
from slipway_inference.http.problems import PROBLEMS
from slipway_inference.prediction.json_value import prediction_value
from slipway_inference.serving.stores import Stores

PATH = "/predictions"
MAX_PAGE_ROWS = 1000
MIN_TIME = datetime(1971, 1, 1, tzinfo=UTC)
MAX_TIME = datetime(9000, 1, 1, tzinfo=UTC)
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?", re.DOTALL)


def _only_iso(value: object) -> object:
    """Reject bare numbers, which pydantic would take for seconds since 1970."""
    if isinstance(value, str) and not _TIME.fullmatch(value):
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return value


Time = Annotated[datetime | None, BeforeValidator(_only_iso)]
Name = Annotated[str | None, Query(pattern=_NAME, max_length=64)]


def create_router(stores: Stores, large_work: LargeWork) -> APIRouter:
    """Return the route of the prediction log."""
    router = APIRouter(tags=["log"])

    @router.get(
        PATH,
        summary="The prediction log",
        description="Predictions that were answered or failed, newest first. Times in UTC.",
        response_class=Response,
        responses={
            200: success("A page of the log", LoggedPredictions),
            **error_responses(
                PROBLEMS, errors.InvalidInput, errors.StoreUnavailable, errors.InternalError
            ),
        },
    )
    async def read_predictions(
        request: Request,
        since: Annotated[Time, Query(description="Made at this time or later.")] = None,
        until: Annotated[Time, Query(description="Made before this time.")] = None,
        model: Name = None,
        version: Name = None,
        status: Annotated[
            str | None,
            Query(pattern=_NAME, max_length=64, description="`ok`, or the code of an error."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 100,
        cursor: Annotated[UUID | None, Query(description="From `next` of the page before.")] = None,
    ) -> Response:
        log_filter = PredictionFilter(_to_utc(since), _to_utc(until), model, version, status)
        rows = await stores.predictions.page(log_filter, cursor, limit)
        next_page = None
        if len(rows) == limit or rows.is_cut:
            next_page = _next_page(request, log_filter, limit, rows[-1].id)
        render = partial(_respond, rows, next_page)
        return await large_work.run(JSON_BYTES_PER_VECTOR_BYTE * rows.size, render)

    return router


def _respond(rows: Sequence[PredictionRecord], next_page: str | None) -> Response:
    values = encoded_list([_row_value(row) for row in rows])
    return json_response({"predictions": values, "next": next_page})


def _next_page(request: Request, log_filter: PredictionFilter, limit: int, cursor: UUID) -> str:
    return context_of(request.scope).path(
        PATH,
        since=_text(log_filter.since),
        until=_text(log_filter.until),
        model=log_filter.model,
        version=log_filter.version,
        status=log_filter.status,
        limit=limit,
        cursor=cursor,
    )


def _row_value(row: PredictionRecord) -> dict[str, Any]:
    value = {name: getattr(row, name) for name in LoggedPrediction.__struct_fields__}
    if row.prediction is not None or row.embedding:
        value["prediction"] = prediction_value(row.prediction, row.embedding)
    return value


def _to_utc(time: datetime | None) -> datetime | None:
    """Return the time with its zone, which is UTC unless it says another, within the times that
    PostgreSQL can compare.
    """
    if time is None:
        return None
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return min(max(aware, MIN_TIME), MAX_TIME)


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
