"""Responses of POST /predict/{modality}."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx2
import pytest
from tests.fixtures.inference_app import DIGEST, open_app
from tests.fixtures.pictures import png_of

from slipway_core.inputs.items import Outcome


async def test_a_text_is_embedded(text_app: httpx2.AsyncClient) -> None:
    response = await text_app.post("/predict/text", json={"input_text": "four"})
    assert response.status_code == 200
    body = response.json()
    assert body.pop("latency_ms") > 0
    assert len(body.pop("id")) == 36
    assert body == {
        "model": "mini",
        "version": "1.2",
        "model_digest": DIGEST,
        "modality": "text",
        "prediction": {"embedding": [4.0, 0.1]},
    }
    assert '"embedding":[4.0,0.1]' in response.text  # shortest digits of float32


@pytest.mark.parametrize("texts", [["four"], ["four", "three"]])
async def test_predictions_of_several_texts_are_in_order(
    text_app: httpx2.AsyncClient, texts: list[str]
) -> None:
    response = await text_app.post("/predict/text", json={"inputs": texts})
    expected = [{"embedding": [float(len(text)), 0.1]} for text in texts]
    assert response.json()["prediction"] == {"rows": expected}


async def test_labels_turn_an_embedding_into_a_classification(text_app: httpx2.AsyncClient) -> None:
    body = {"input_text": "goal", "labels": ["sports", "politics"]}
    prediction = (await text_app.post("/predict/text", json=body)).json()["prediction"]
    assert prediction == {
        "label": "sports",
        "score": 0.5,
        "scores": {"sports": 0.5, "politics": 0.5},
    }


@pytest.mark.parametrize(
    "inputs",
    [
        [[1, 2], [3, 4]],
        [{"height": 1, "width": 2}, {"width": 4, "height": 3}],
        {"height": [1, 3], "width": [2, 4]},
    ],
    ids=["lists", "records", "columns"],
)
async def test_predictions_of_rows_are_in_order(
    table_app: httpx2.AsyncClient, inputs: object
) -> None:
    response = await table_app.post("/predict/tabular", json={"inputs": inputs})
    assert response.json()["prediction"] == {"rows": [{"sum": 3}, {"sum": 7}]}


async def test_an_image_is_accepted_as_base64_or_as_a_form(table_app: httpx2.AsyncClient) -> None:
    image = png_of(4, 4)
    encoded = base64.b64encode(image).decode()
    as_json = await table_app.post("/predict/image", json={"image": encoded})
    as_form = await table_app.post(
        "/predict/image",
        files={"file": ("a.png", image, "image/png")},
        data={"parameters": "{}"},
    )
    assert as_json.json()["prediction"] == {"bytes": len(image)}
    assert as_form.json()["prediction"] == {"bytes": len(image)}


async def test_all_routes_exist_below_the_name_of_the_model(
    text_app: httpx2.AsyncClient,
) -> None:
    response = await text_app.post("/models/mini/predict/text", json={"input_text": "four"})
    assert response.json()["prediction"] == {"embedding": [4.0, 0.1]}
    assert (await text_app.get("/models/mini/readyz")).status_code == 200
    other = await text_app.get("/models/other/readyz")
    assert other.status_code == 404
    assert other.json()["code"] == "UnknownModel"
    assert "'mini'" in other.json()["detail"]


async def test_the_request_id_of_the_client_is_returned(text_app: httpx2.AsyncClient) -> None:
    response = await text_app.get("/livez", headers={"X-Request-ID": "abc-1"})
    assert response.headers["X-Request-ID"] == "abc-1"
    made = (await text_app.get("/livez", headers={"X-Request-ID": "two words"})).headers
    assert len(made["X-Request-ID"]) == 32
    assert made["X-Content-Type-Options"] == "nosniff"
    assert "server" not in made


async def test_an_input_that_the_model_rejects_is_reported_with_its_field(
    text_app: httpx2.AsyncClient,
) -> None:
    rejected = await text_app.post("/predict/text", json={"input_text": "refused"})
    assert rejected.status_code == 422
    assert rejected.json()["errors"] == [{"field": "input_text", "message": "this text is refused"}]
    broken = await text_app.post("/predict/text", json={"input_text": "broken"})
    assert broken.status_code == 500
    assert broken.json()["code"] == "PredictionFailed"


async def test_predictions_are_counted_by_error_code(text_app: httpx2.AsyncClient) -> None:
    async def count(code: str) -> float:
        status = "error" if code else "ok"
        series = f'prediction_requests_total{{code="{code}",modality="text",status="{status}"}} '
        lines = (await text_app.get("/metrics")).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(series))

    before = [await count(code) for code in ("", "InvalidInput", "MalformedBody")]
    await text_app.post("/predict/text", json={"input_text": "four"})
    await text_app.post("/predict/text", json={"input_text": 4})
    await text_app.post("/predict/text", content=b"{")
    after = [await count(code) for code in ("", "InvalidInput", "MalformedBody")]
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1, 1]


async def test_health_reports_the_modalities_and_columns_of_the_model(
    text_app: httpx2.AsyncClient, table_app: httpx2.AsyncClient
) -> None:
    text, table = [(await app.get("/health")).json() for app in (text_app, table_app)]
    assert (text["modalities"], text["columns"]) == (["text"], [])
    assert "tabular" in table["modalities"]
    assert table["columns"] == ["height", "width"]


async def test_without_a_database_only_predictions_work() -> None:
    async with open_app() as (client, _):
        assert (await client.post("/predict/text", json={"input_text": "a"})).status_code == 200
        health = (await client.get("/health")).json()
        assert health["status"] == "degraded"
        assert health["database"] == "not configured"
        for response in (
            await client.post("/predict/text/batch", json={"inputs": ["a"]}),
            await client.get("/predictions"),
        ):
            assert response.status_code == 503
            assert response.json()["code"] == "StoreUnavailable"
            assert "SLIPWAY_DATABASE_URL" in response.json()["detail"]


async def test_an_unexpected_error_reveals_no_internals() -> None:
    from tests.fixtures.inference_app import TEXT_MODEL, InstantEngines

    class Failing(InstantEngines):
        def run(
            self, items: object, *, all_cores: bool, is_wanted: object
        ) -> asyncio.Future[list[Outcome]]:
            outcomes: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
            outcomes.set_exception(KeyError("secret detail"))
            return outcomes

    failing = Failing(TEXT_MODEL)
    async with open_app(engines=failing) as (client, _):
        response = await client.post("/predict/text", json={"input_text": "a"})
    assert response.status_code == 500
    assert response.json()["code"] == "InternalError"
    assert "secret" not in response.text
    assert json.loads(response.text)["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/predict/status/0199d2a4-7c1e-7b3a-9f00-2b6d1c4e8a55", "DELETE, GET, HEAD"),
        ("/predict/text", "POST"),
        ("/health", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_rejected_with_the_allowed_ones(
    text_app: httpx2.AsyncClient, path: str, allowed: str
) -> None:
    response = await text_app.put(path)
    assert response.status_code == 405
    assert response.headers["Allow"] == allowed
