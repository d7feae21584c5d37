"""Answers most predictions by callbacks: without a task, and without ASGI between them and the
connection, which together cost as much again as all that is done for a prediction.

It takes a request whose body came together with its headers. A body that comes in pieces is read,
within its bounds, by a task of the application (`routes.predict`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from slipway_core.errors import SlipwayError
from slipway_core.inputs.items import Outcome
from slipway_inference.api.openai.embeddings import read_embeddings
from slipway_inference.api.slipway.prediction_bodies import ReadBody, read_tabular, read_text
from slipway_inference.http import bodies
from slipway_inference.http.context import CLIENT_DISCONNECTED, RequestContext, split_model
from slipway_inference.http.edge import CLIENT_GONE_STATUS, Edge
from slipway_inference.prediction.realtime import Prediction, begin, count_prediction
from slipway_inference.serving.service import Service

log = structlog.get_logger("slipway.direct")

Headers = list[tuple[bytes, bytes]]
SendAnswer = Callable[[int, Headers, bytes], None]
"""Sends an answer: its status, headers and body. Once a request has one, more are ignored."""

READERS: dict[str, tuple[str, ReadBody]] = {
    "/predict/text": ("text", read_text),
    "/predict/tabular": ("tabular", read_tabular),
    "/v1/embeddings": ("text", read_embeddings),
}


class DirectRoute:
    """The predictions that are asked for at one path."""

    def __init__(
        self, edge: Edge, service: Service, path: str, modality: str, read: ReadBody
    ) -> None:
        self._edge = edge
        self._service = service
        self._path = path
        self._modality = modality
        self._read = read

    def answer(self, scope: Scope, body: bytes, send: SendAnswer) -> None:
        """Begin to answer a request. `send` is called at once or later, unless the client goes away
        before: what tells that is `tell_disconnected`.
        """
        try:
            self._answer(scope, body, send)
        except Exception as error:
            _give_up(error, send)

    def _answer(self, scope: Scope, body: bytes, send: SendAnswer) -> None:
        context = self._edge.open(scope)
        try:
            self._edge.admit(scope, context)
        except SlipwayError as error:
            self._fail(scope, context, error, send, handler=None)
            return
        try:
            prediction = self._begin(context, body)
        except Exception as error:
            self._fail(scope, context, error, send, handler=self._path)
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
        send: SendAnswer,
        outcomes: asyncio.Future[list[Outcome]],
    ) -> None:
        context = prediction.context
        try:
            context.on_disconnect = None
            if outcomes.cancelled() or (context.disconnected and not outcomes.exception()):
                self._leave(scope, context)
            else:
                self._send(scope, prediction, send)
        except Exception as error:
            _give_up(error, send)

    def _leave(self, scope: Scope, context: RequestContext) -> None:
        """The client has gone: nothing is sent."""
        context.code = CLIENT_DISCONNECTED
        count_prediction(self._modality, ClientDisconnect())
        self._edge.close(scope, context, CLIENT_GONE_STATUS, handler=self._path)

    def _send(self, scope: Scope, prediction: Prediction, send: SendAnswer) -> None:
        context = prediction.context
        try:
            answer = prediction.conclude()
        except Exception as error:
            count_prediction(self._modality, error)
            self._fail(scope, context, error, send, handler=self._path)
            return
        count_prediction(self._modality)
        headers = [
            (b"content-type", bodies.JSON.encode()),
            (b"content-length", b"%d" % len(answer)),
        ]
        send(200, [*headers, *self._edge.headers(context)], answer)
        self._edge.close(scope, context, 200, handler=self._path)

    def _fail(
        self,
        scope: Scope,
        context: RequestContext,
        error: Exception,
        send: SendAnswer,
        *,
        handler: str | None,
    ) -> None:
        problem = self._edge.problem(scope, error)
        headers = [*problem.raw_headers, *self._edge.headers(context)]
        send(problem.status_code, headers, bytes(problem.body))
        self._edge.close(scope, context, problem.status_code, handler=handler)


def _give_up(error: Exception, send: SendAnswer) -> None:
    """What must not happen has: the client gets an answer all the same, and the log the cause."""
    log.error("a request could not be answered", code="InternalError", exc_info=error)
    send(500, [(b"content-length", b"0"), (b"connection", b"close")], b"")


class DirectRoutes:
    """What is answered directly, by method and path."""

    def __init__(self, edge: Edge, service: Service) -> None:
        self._routes = {
            path: DirectRoute(edge, service, path, modality, read)
            for path, (modality, read) in READERS.items()
        }

    def find(self, scope: Scope) -> DirectRoute | None:
        """The route of a request; None when it is for the application."""
        if scope["method"] != "POST":
            return None
        path: str = scope["path"]
        return self._routes.get(path) or self._routes.get(split_model(path)[1])
