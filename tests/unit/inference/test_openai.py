"""OpenAI's protocol below /v1, as its clients use it."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import numpy as np
import pytest
from tests.fixtures.inference_app import TABLE_MODEL, open_app


async def _embed(app: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
    return await app.post("/v1/embeddings", json={"model": "mini", "input": "four", **body})


async def _embed_rejected(app: httpx2.AsyncClient, status: int, **body: Any) -> dict[str, Any]:
    response = await _embed(app, **body)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def test_a_text_is_embedded(text_app: httpx2.AsyncClient) -> None:
    response = await _embed(text_app, encoding_format=None, user=None)  # as some clients send them
    assert response.status_code == 200
    assert response.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [4.0, 0.1]}],
        "model": "mini",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


async def test_several_texts_are_embedded_in_order_and_as_base64(
    text_app: httpx2.AsyncClient,
) -> None:
    response = await _embed(text_app, input=["four", "seven"], encoding_format="base64", user="me")
    body = response.json()
    vectors = [
        np.frombuffer(base64.b64decode(item["embedding"]), "<f4").round(3) for item in body["data"]
    ]
    assert np.allclose(vectors, [[4, 0.1], [5, 0.1]])
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert body["usage"]["total_tokens"] == 6


async def test_only_the_dimensions_of_the_model_are_accepted(text_app: httpx2.AsyncClient) -> None:
    assert (await _embed(text_app, dimensions=2)).status_code == 200
    error = await _embed_rejected(text_app, 400, dimensions=1)
    assert error["param"] == "dimensions"
    assert "must be 2" in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", " "]}, "input.1"),
        ({"input": [1, 2]}, "input.0"),
        ({"input": [[1, 2]]}, "input.0"),
        ({"input": ["a", None]}, "input.1"),
        ({"input": ["a", True]}, "input.1"),
        ({"input": 5}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"inputs": "a"}, "inputs"),
        ({"input": "refused"}, "input"),
        ({"input": ["a", "refused"]}, "input.1"),
    ],
)
async def test_invalid_requests_are_rejected_with_the_parameter(
    text_app: httpx2.AsyncClient, body: dict[str, Any], param: str
) -> None:
    error = await _embed_rejected(text_app, 400, **body)
    assert (error["type"], error["code"], error["param"]) == (
        "invalid_request_error",
        "InvalidInput",
        param,
    )


async def test_token_ids_are_rejected_with_a_remedy(text_app: httpx2.AsyncClient) -> None:
    error = await _embed_rejected(text_app, 400, input=[[101, 2054, 102]])
    assert "check_embedding_ctx_length=False" in error["message"]


async def test_another_model_is_unknown(text_app: httpx2.AsyncClient) -> None:
    error = await _embed_rejected(text_app, 404, model="text-embedding-3-small")
    under_its_name = await text_app.get("/models/other/v1/models")
    assert error["code"] == "UnknownModel"
    assert "'mini'" in error["message"]
    assert under_its_name.status_code == 404
    assert under_its_name.json()["error"]["code"] == "UnknownModel"


async def test_a_model_without_embeddings_is_rejected() -> None:
    async with open_app(TABLE_MODEL) as (app, _):
        error = await _embed_rejected(app, 404, model="table")
    assert error["code"] == "UnknownModality"


async def test_responses_tell_clients_whether_to_retry() -> None:
    """They retry after every 5xx unless the response says otherwise."""
    async with open_app() as (app, components):
        broken = await _embed(app, input="broken")
        account = components.admission.body_memory.account()
        account.take(components.settings.max_buffered_bytes)
        busy = await _embed(app)
    assert (broken.status_code, broken.headers["x-should-retry"]) == (500, "false")
    assert (busy.status_code, busy.headers["x-should-retry"]) == (429, "true")
    assert int(busy.headers["Retry-After"]) >= 1
    assert busy.json()["error"]["type"] == "rate_limit_error"


async def test_the_model_is_listed(text_app: httpx2.AsyncClient) -> None:
    listed = (await text_app.get("/models/mini/v1/models")).json()
    model_response = await text_app.get("/v1/models/mini")
    missing = await text_app.get("/v1/models/gpt-5")
    (model,) = listed["data"]
    assert listed["object"] == "list"
    assert model.pop("created") > 1_700_000_000
    assert model == {"id": "mini", "object": "model", "owned_by": "slipway"}
    assert model_response.json()["id"] == "mini"
    assert missing.status_code == 404


async def test_errors_of_the_framework_have_the_same_form(text_app: httpx2.AsyncClient) -> None:
    nothing = await text_app.post("/v1/chat/completions", json={})
    wrong_method = await text_app.get("/v1/embeddings")
    assert nothing.status_code == 404
    assert nothing.json()["error"]["code"] == "RouteNotFound"
    assert wrong_method.status_code == 405
    assert wrong_method.headers["Allow"] == "POST"
    assert wrong_method.json()["error"]["code"] == "MethodNotAllowed"


async def test_embeddings_are_counted_as_predictions(
    text_app: httpx2.AsyncClient,
) -> None:
    counted = 'prediction_requests_total{code="",modality="text",status="ok"}'

    async def count() -> float:
        lines = (await text_app.get("/metrics")).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(counted))

    before = await count()
    await _embed(text_app)
    assert await count() == before + 1
