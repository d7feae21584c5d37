"""GET /predictions: the prediction log, newest first."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from slipway_core import errors
from slipway_core.store.records import PredictionFilter, PredictionRecord
from slipway_inference.api import responses
from slipway_inference.http.bodies import JSON
from slipway_inference.http.json import dump_json, prediction_value
from slipway_inference.http.links import predictions_path
from slipway_inference.http.openapi import problems, success
from slipway_inference.serving.service import Service

router = APIRouter(tags=["log"])

_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_PLAIN = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?", re.DOTALL)


def _only_iso(value: object) -> object:
    """Refuse bare numbers, which would be taken for seconds since 1970."""
    if isinstance(value, str) and not _TIME.fullmatch(value):
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return value


Time = Annotated[datetime | None, BeforeValidator(_only_iso)]
Plain = Annotated[str | None, Query(pattern=_PLAIN, max_length=64)]


@router.get(
    "/predictions",
    summary="The prediction log",
    description="Predictions that were answered or failed, newest first. Times in UTC.",
    response_class=Response,
    responses={
        200: success("A page of the log", responses.LoggedPredictions),
        **problems(errors.InvalidInput, errors.StoreUnavailable, errors.InternalError),
    },
)
async def read_predictions(
    request: Request,
    since: Annotated[Time, Query(description="Made at this time or later.")] = None,
    until: Annotated[Time, Query(description="Made before this time.")] = None,
    model: Plain = None,
    version: Plain = None,
    status: Annotated[
        str | None,
        Query(pattern=_PLAIN, max_length=64, description="`ok`, or the code of an error."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[UUID | None, Query(description="From `next` of the page before.")] = None,
) -> Response:
    service: Service = request.app.state.service
    asked = PredictionFilter(_utc(since), _utc(until), model, version, status)
    rows = await service.predictions.page(asked, cursor, limit)
    following = None
    if len(rows) == limit:
        following = predictions_path(
            request.scope,
            since=_text(asked.since),
            until=_text(asked.until),
            model=model,
            version=version,
            status=status,
            limit=limit,
            cursor=rows[-1].id,
        )
    content = {"predictions": [_row_value(row) for row in rows], "next": following}
    return Response(dump_json(content), media_type=JSON)


def _row_value(row: PredictionRecord) -> dict[str, Any]:
    value = {name: getattr(row, name) for name in responses.LoggedPrediction.__struct_fields__}
    if row.prediction is not None or row.embedding:
        value["prediction"] = prediction_value(row.prediction, row.embedding)
    return value


def _utc(time: datetime | None) -> datetime | None:
    """A time without a zone is in UTC; times before and after all rows become bounds of them."""
    if time is None:
        return None
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return min(max(aware, _EARLIEST), _LATEST)


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
