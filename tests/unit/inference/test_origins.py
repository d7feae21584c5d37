"""Pages of other sites: names of the server, origins of requests, CORS."""

from __future__ import annotations

import httpx2
import pytest
from tests.fixtures.inference_app import open_app
from tests.fixtures.problems import check_problem

HOSTS = "localhost, my-laptop"


async def _submit(app: httpx2.AsyncClient, **headers: str) -> httpx2.Response:
    """Send what a page may send without permission: a POST without Content-Type."""
    return await app.post("/predict/text", content=b'{"input_text": "a"}', headers=headers)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7", "my-laptop:8000"],
)
async def test_a_server_answers_under_its_own_names(host: str) -> None:
    async with open_app(allowed_hosts=HOSTS) as (app, _):
        assert (await _submit(app, Host=host)).status_code == 200
        assert (await _submit(app, Host=host, Origin=f"http://{host}")).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "attacker.example:8000",
        "localhost.attacker.example",
        "",
        "127.0.0.1.nip",
    ],
)
@pytest.mark.parametrize("path", ["/predictions", "/health", "/docs", "/v1/models", "/nowhere"])
async def test_another_name_is_refused(host: str, path: str) -> None:
    async with open_app(allowed_hosts=HOSTS) as (app, _):
        response = await app.get(path, headers={"Host": host})
    assert response.status_code == 421
    if not path.startswith("/v1"):
        assert check_problem(response, status=421)["code"] == "HostNotAllowed"


@pytest.mark.parametrize(
    "origin", ["http://attacker.example", "null", "http://localhost:9000", "http://[", ""]
)
async def test_pages_of_other_sites_may_send_nothing(origin: str) -> None:
    async with open_app(allowed_hosts=HOSTS) as (app, _):
        response = await _submit(app, Host="localhost:8000", Origin=origin)
        assert check_problem(response, status=403)["code"] == "OriginNotAllowed"


async def test_without_allowed_hosts_every_name_and_origin_is_served() -> None:
    async with open_app() as (app, _):
        response = await _submit(app, Host="models.example.com", Origin="http://other.example")
        assert response.status_code == 200
        assert "access-control-allow-origin" not in response.headers


async def test_allowed_origins_may_send_requests_and_read_responses() -> None:
    origin = "https://app.example.com"
    async with open_app(allowed_hosts=HOSTS, cors_origins=f"{origin}, https://b.example") as (
        app,
        _,
    ):
        allowed = await _submit(app, Host="localhost", Origin=origin)
        other = await _submit(app, Host="localhost", Origin="https://other.example")
        preflight = await app.options(
            "/predict/text",
            headers={
                "Host": "localhost",
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == origin
    assert "X-Request-ID" in allowed.headers["access-control-expose-headers"]
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "content-type"


async def test_errors_can_be_read_by_allowed_origins() -> None:
    async with open_app(cors_origins="*") as (app, _):
        response = await app.get("/nowhere", headers={"Origin": "https://app.example.com"})
    assert response.status_code == 404
    assert response.headers["access-control-allow-origin"] == "*"
