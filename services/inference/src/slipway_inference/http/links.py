"""Paths as the client sees them: behind a proxy's prefix and below /models/<name>."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.types import Scope

from slipway_inference.http.context import context_of


def status_path(scope: Scope, task_id: UUID, **query: Any) -> str:
    """Where a job's status is."""
    return _with_query(f"{context_of(scope).prefix}/predict/status/{task_id}", query)


def predictions_path(scope: Scope, **query: Any) -> str:
    """A page of the prediction log."""
    return _with_query(f"{context_of(scope).prefix}/predictions", query)


def _with_query(path: str, query: dict[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
