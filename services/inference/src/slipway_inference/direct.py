"""Answers most predictions by callbacks: without a task, and without ASGI between them and the
connection, which together cost as much again as all that is done for a prediction.

It takes a request whose body came together with its headers. A body that comes in pieces is read,
within its bounds, by a task of the application (`routes.predict`), to the same effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from starlette.requests import ClientDisconnect
from starlette.types import Scope

from slipway_core.runtime.protocol import Outcome
from slipway_inference import bodies
from slipway_inference.edge import CLIENT_GONE_STATUS, Edge, split_model
from slipway_inference.prediction_bodies import ReadBody, read_tabular, read_text
from slipway_inference.realtime import Prediction, begin, count_prediction
from slipway_inference.request_context import CLIENT_DISCONNECTED, RequestContext
from slipway_inference.service import Service

Headers = list[tuple[bytes, bytes]]
Send = Callable[[int, Headers, bytes], None]
"""Sends an answer: its status, headers and body."""

_MODALITIES: dict[str, tuple[str, ReadBody]] = {
    "/predict/text": ("text", read_text),
    "/predict/tabular": ("tabular", read_tabular),
}


class DirectRoute:
    """The predictions of one modality."""

    def __init__(self, edge: Edge, service: Service, modality: str, read: ReadBody) -> None:
        self._edge = edge
        self._service = service
        self._modality = modality
        self._read = read

    def answer(self, scope: Scope, body: bytes, send: Send) -> None:
        """Begin to answer a request. `send` is called once, unless the client goes away before:
        what tells that is `tell_disconnected`.
        """
        context = self._edge.open(scope)
        try:
            self._edge.admit(scope, context)
            prediction = self._begin(context, body)
        except Exception as error:
            self._fail(scope, context, error, send)
            return
        context.on_disconnect = prediction.outcomes.cancel
        prediction.outcomes.add_done_callback(partial(self._conclude, scope, prediction, send))

    def _begin(self, context: RequestContext, body: bytes) -> Prediction:
        service = self._service
        try:
            bodies.media_type(context, bodies.JSON)
            bodies.check_whole(context, body, service.settings.max_body_bytes)
            return begin(service, context, self._modality, self._read(service, body))
        except Exception as error:
            count_prediction(self._modality, error)
            raise

    def _conclude(
        self,
        scope: Scope,
        prediction: Prediction,
        send: Send,
        outcomes: asyncio.Future[list[Outcome]],
    ) -> None:
        context = prediction.context
        context.on_disconnect = None
        if outcomes.cancelled():
            context.code = CLIENT_DISCONNECTED
            count_prediction(self._modality, ClientDisconnect())
            self._edge.close(scope, context, CLIENT_GONE_STATUS, has_fixed_path=True)
            return
        try:
            answer = prediction.conclude()
        except Exception as error:
            count_prediction(self._modality, error)
            self._fail(scope, context, error, send)
            return
        count_prediction(self._modality)
        headers = [(b"content-type", bodies.JSON.encode()), *self._edge.headers(context)]
        send(200, headers, answer)
        self._edge.close(scope, context, 200, has_fixed_path=True)

    def _fail(self, scope: Scope, context: RequestContext, error: Exception, send: Send) -> None:
        problem = self._edge.problem(scope, error)
        headers = [
            (name, value) for name, value in problem.raw_headers if name != b"content-length"
        ]
        send(problem.status_code, [*headers, *self._edge.headers(context)], bytes(problem.body))
        self._edge.close(scope, context, problem.status_code, has_fixed_path=True)


class DirectRoutes:
    """What is answered directly, by method and path."""

    def __init__(self, edge: Edge, service: Service) -> None:
        self._routes = {
            path: DirectRoute(edge, service, modality, read)
            for path, (modality, read) in _MODALITIES.items()
        }

    def find(self, scope: Scope) -> DirectRoute | None:
        """The route of a request; None when it is for the application."""
        if scope["method"] != "POST":
            return None
        path: str = scope["path"]
        return self._routes.get(path) or self._routes.get(split_model(path)[1])
