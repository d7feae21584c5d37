"""Answers predictions by a task that waits for them: those that `direct` does not take."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from slipway_core.errors import SlipwayError
from slipway_inference.api.slipway.prediction_bodies import ReadBody
from slipway_inference.http import bodies
from slipway_inference.http.context import context_of
from slipway_inference.http.disconnect import while_connected
from slipway_inference.prediction.realtime import Asked, begin, count_prediction
from slipway_inference.serving.service import Service

Read = Callable[[Service, Request], Awaitable[Asked]]
"""Reads and checks the inputs of a request."""


def whole(read_body: ReadBody) -> Read:
    """Reads a JSON body and leaves what is in it to `read_body`."""

    async def read(service: Service, request: Request) -> Asked:
        bodies.media_type(context_of(request.scope), bodies.JSON)
        body = await bodies.read_body(request, service.settings, service.body_memory)
        return read_body(service, body)

    return read


async def predict(request: Request, modality: str, read: Read) -> bytes:
    """The body of the answer. Raises what `read`, `begin` and `Prediction.conclude` raise, and
    ClientDisconnect.
    """
    service: Service = request.app.state.service
    try:
        asked = await read(service, request)
        with while_connected(request.scope):
            prediction = begin(service, context_of(request.scope), modality, asked)
            with contextlib.suppress(SlipwayError):  # which `conclude` raises
                await prediction.outcomes
        answer = prediction.conclude()
    except BaseException as error:
        count_prediction(modality, error)
        raise
    count_prediction(modality)
    return answer
