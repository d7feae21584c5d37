"""http_requests_total counts every request once, by its route and never by its path."""

from __future__ import annotations

import httpx2
import pytest


async def count(client: httpx2.AsyncClient, labels: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    samples = [line for line in lines if line.startswith(f"http_requests_total{{{labels}}}")]
    return float(samples[0].split()[-1]) if samples else 0.0


@pytest.mark.parametrize(
    ("method", "path", "body", "handler", "status"),
    [
        ("POST", "/predict/text", '{"input_text": "a"}', "/predict/text", "2xx"),
        ("POST", "/models/mini/predict/text", '{"input_text": "a"}', "/predict/text", "2xx"),
        ("POST", "/predict/text", '{"input_text": 1}', "/predict/text", "4xx"),
        ("POST", "/predict/sound", "{}", "/predict/{modality}", "4xx"),
        ("GET", "/v2/models/mini/ready", None, "/v2/models/{model}/ready", "2xx"),
        ("GET", "/v2/models/mini/infer", None, "/v2/models/{model}/infer", "4xx"),
        ("GET", "/health", None, "/health", "2xx"),
        ("GET", "/predict/text", None, "/predict/text", "4xx"),
        ("GET", "/made/up/nowhere", None, "none", "4xx"),
        ("GET", "/livez", None, "/livez", None),
        ("POST", "/models/nowhere/predict/text", "{}", "/models/nowhere/predict/text", None),
    ],
)
async def test_a_request_is_counted_by_its_route(
    text_app: httpx2.AsyncClient,
    method: str,
    path: str,
    body: str | None,
    handler: str,
    status: str | None,
) -> None:
    labels = f'handler="{handler}",method="{method}",status="{status or "2xx"}"'
    before = await count(text_app, labels)
    await text_app.request(method, path, content=body, headers={"content-type": "application/json"})
    assert await count(text_app, labels) - before == (1 if status else 0)
    assert "nowhere" not in (await text_app.get("/metrics")).text
