"""Direct routes: what they share with the application, and that they always answer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from starlette.types import Scope

from slipway_inference.app import create_routes
from slipway_inference.http.lean_route import LeanRoutes
from slipway_inference.prediction.direct import READERS, DirectRoutes, Headers
from slipway_inference.serving.service import Service
from slipway_inference.settings import InferenceSettings

SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/predict/text",
    "raw_path": b"/predict/text",
    "query_string": b"",
    "headers": [],
}


def test_what_is_answered_directly_the_application_answers_too() -> None:
    routes = LeanRoutes(create_routes(Service(InferenceSettings())).routes)
    assert all(routes.find({**SCOPE, "path": path}) for path in READERS)


@pytest.mark.parametrize("path", ["/predict/text", "/models/mini/predict/text"])
def test_other_methods_and_paths_are_left_to_the_application(path: str) -> None:
    routes = DirectRoutes(cast(Any, None), Service(InferenceSettings()))
    assert routes.find({**SCOPE, "path": path}) is not None
    assert routes.find({**SCOPE, "path": path, "method": "GET"}) is None
    assert routes.find({**SCOPE, "path": path + "/batch"}) is None


def test_a_request_is_answered_even_when_answering_fails() -> None:
    class Broken:
        def open(self, scope: Scope) -> Any:
            raise RuntimeError("secret detail")

    sent: list[tuple[int, Headers, bytes]] = []
    route = DirectRoutes(cast(Any, Broken()), Service(InferenceSettings())).find(SCOPE)
    assert route is not None
    route.answer(SCOPE, b"{}", lambda *answer: sent.append(answer))
    assert [(status, body) for status, _, body in sent] == [(500, b"")]
