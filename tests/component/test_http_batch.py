"""Batch jobs over HTTP: stored jobs and their responses, without workers."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from tests.fixtures.batch import eventually
from tests.fixtures.inference_app import TABLE_MODEL, open_app
from tests.fixtures.problems import check_problem
from tests.fixtures.services import StartInference

from slipway_core.store.identifiers import uuid7

pytestmark = pytest.mark.component

NDJSON = {"Content-Type": "application/x-ndjson"}
_STREAMS = ("application/x-ndjson", "text/event-stream")


@pytest.fixture
async def app(database_url: str, redis_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with a text model, a database and a queue."""
    async with open_app(database_url=database_url, redis_url=redis_url) as (client, _):
        yield client


def _stored_inputs(database_url: str) -> list[Any]:
    with psycopg.connect(database_url) as connection:
        query = "SELECT input FROM batch_items ORDER BY job_id, idx"
        return [value for (value,) in connection.execute(query)]


async def test_a_list_is_stored_and_its_status_can_be_read(
    app: httpx2.AsyncClient, database_url: str, redis_url: str
) -> None:
    inputs = ["one", {"input_text": "two"}, "three"]
    response = await app.post("/predict/text/batch", json={"inputs": inputs})
    assert response.status_code == 202
    job = response.json()
    assert job["status"] == "queued"
    assert job["total"] == 3
    assert response.headers["Location"] == job["status_url"]
    assert _stored_inputs(database_url) == ["one", "two", "three"]
    status = (await app.get(job["status_url"])).json()
    assert status["task_id"] == job["task_id"]
    assert (status["succeeded"], status["failed"], status["results"]) == (0, 0, [])
    assert status["next"] is None
    assert (await app.get("/health")).json()["status"] == "ok"


async def test_lines_are_stored_and_empty_lines_are_skipped(
    app: httpx2.AsyncClient, database_url: str
) -> None:
    body = b'"one"\n\n{"input_text": "two"}\r\n"three"'
    response = await app.post(
        "/predict/text/batch", content=body, headers=NDJSON, params={"labels": ["a", "b"]}
    )
    assert response.status_code == 202, response.text
    assert response.json()["total"] == 3
    assert _stored_inputs(database_url) == ["one", "two", "three"]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
async def test_compressed_bodies_are_stored(
    app: httpx2.AsyncClient, database_url: str, encoding: str
) -> None:
    inputs = [f"text {number}" for number in range(3000)]
    halves = [
        "".join(f'"{text}"\n' for text in part).encode() for part in (inputs[:1500], inputs[1500:])
    ]
    if encoding == "deflate":
        body = zlib.compress(b"".join(halves))
    else:
        body = b"".join(map(gzip.compress, halves))  # as `cat a.gz b.gz` makes it

    async def packets() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    headers = {"Content-Encoding": encoding}
    lines = await app.post("/predict/text/batch", content=packets(), headers={**NDJSON, **headers})
    assert lines.status_code == 202, lines.text
    assert _stored_inputs(database_url) == inputs
    compress = zlib.compress if encoding == "deflate" else gzip.compress
    listed = await app.post(
        "/predict/text/batch",
        content=compress(json.dumps({"inputs": inputs}).encode()),
        headers={"Content-Type": "application/json", **headers},
    )
    assert listed.status_code == 202, listed.text
    cut = await app.post("/predict/text/batch", content=body[:-4], headers={**NDJSON, **headers})
    check_problem(cut, status=400)
    assert len(_stored_inputs(database_url)) == 2 * len(inputs)


async def test_another_encoding_of_a_batch_is_named(app: httpx2.AsyncClient) -> None:
    for kind in ({}, NDJSON):
        headers = {**kind, "Content-Encoding": "zstd"}
        response = await app.post("/predict/text/batch", content=b"x", headers=headers)
        assert "'zstd'" in check_problem(response, status=415)["detail"]


@pytest.mark.parametrize("accept", ["application/json", *_STREAMS])
async def test_head_of_a_status_has_the_headers_of_get(
    app: httpx2.AsyncClient, accept: str
) -> None:
    job = (await app.post("/predict/text/batch", json={"inputs": ["one"]})).json()
    async with asyncio.timeout(10):  # the progress of a job that no worker takes has no end
        response = await app.head(job["status_url"], headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(accept)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'"one"\n{"input_text": 3}\n', 422, "line 2.input_text"),
        (b'"one"\n\n{broken\n', 400, "line 3"),
        (b'"one"\n"\xff"\n', 400, "line 2"),
        (b'"one"\n{"input_text": "a", "labels": ["x"]}\n', 422, "line 2.labels"),
        (b"\n\n", 422, "body"),
        (b"", 422, "body"),
        (b'"one"\n' + b"[" * 5000, 400, "line 2"),
    ],
)
async def test_an_invalid_line_is_reported_and_nothing_is_stored(
    app: httpx2.AsyncClient, database_url: str, body: bytes, status: int, message: str
) -> None:
    response = await app.post("/predict/text/batch", content=body, headers=NDJSON)
    assert response.status_code == status
    assert message in response.json()["detail"]
    assert _stored_inputs(database_url) == []


async def test_the_length_of_a_line_is_limited(database_url: str) -> None:
    async with open_app(database_url=database_url, max_line_bytes=2000) as (client, _):
        body = b'"one"\n"' + b"x" * 3000 + b'"\n'
        response = await client.post("/predict/text/batch", content=body, headers=NDJSON)
    assert response.status_code == 413
    assert "line 2" in response.json()["detail"]


async def test_a_repeated_request_with_a_key_creates_one_job(
    app: httpx2.AsyncClient, database_url: str
) -> None:
    async def submit(inputs: list[str]) -> httpx2.Response:
        return await app.post(
            "/predict/text/batch", json={"inputs": inputs}, headers={"Idempotency-Key": "k-1"}
        )

    first, second = await submit(["a", "b"]), await submit(["a", "b"])
    assert second.status_code == 202
    assert second.json() == first.json()
    assert len(_stored_inputs(database_url)) == 2
    other = await submit(["a", "c"])
    assert other.status_code == 409
    assert other.json()["code"] == "IdempotencyConflict"
    bad = await app.post(
        "/predict/text/batch", json={"inputs": ["a"]}, headers={"Idempotency-Key": "two words"}
    )
    assert bad.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("settings", "host", "message"),
    [
        ({"webhook_secret": "secret", "webhook_allowed_hosts": "127.0.0.1"}, "localhost",
         "public internet"),
        ({"webhook_allowed_hosts": "127.0.0.1"}, "127.0.0.1", "SLIPWAY_WEBHOOK_SECRET"),
    ],
)  # fmt: skip
async def test_webhooks_need_a_secret_and_an_allowed_host(
    database_url: str, settings: dict[str, Any], host: str, message: str
) -> None:
    async with open_app(database_url=database_url, **settings) as (client, _):
        response = await client.post(
            "/predict/text/batch", json={"inputs": ["a"], "webhook_url": f"http://{host}:1/hook"}
        )
    assert response.status_code == 422
    assert response.json()["code"] == "WebhookRefused"
    assert message in response.json()["detail"]
    assert _stored_inputs(database_url) == []


async def test_links_include_the_prefix_of_a_proxy_and_the_model_name(
    database_url: str,
) -> None:
    async with open_app(database_url=database_url, root_path="/ml") as (client, _):
        response = await client.post(
            "/models/mini/predict/text/batch",
            json={"inputs": ["a"]},
            headers={"X-Forwarded-Prefix": "/team-a/"},
        )
        path = response.headers["Location"]
        assert path.startswith("/team-a/ml/models/mini/predict/status/")
        evil = await client.post(
            "/predict/text/batch",
            json={"inputs": ["a"]},
            headers={"X-Forwarded-Prefix": "//evil.example"},
        )
        assert evil.headers["Location"].startswith("/ml/predict/status/")


async def test_a_job_can_be_cancelled(app: httpx2.AsyncClient) -> None:
    url = (await app.post("/predict/text/batch", json={"inputs": ["a"]})).json()["status_url"]
    cancelled = await app.delete(url)
    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled"
    assert (await app.get(url)).json()["status"] == "cancelled"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_unknown_jobs_are_not_found(app: httpx2.AsyncClient, method: str) -> None:
    for unknown in (uuid7(), uuid4()):
        response = await app.request(method, f"/predict/status/{unknown}")
        assert response.status_code == 404
        assert response.json()["code"] == "TaskNotFound"
    malformed = await app.request(method, "/predict/status/not-an-id")
    assert malformed.status_code == 422
    assert malformed.json()["errors"][0]["field"] == "task_id"


async def _logged(client: httpx2.AsyncClient) -> list[Any]:
    predictions: list[Any] = (await client.get("/predictions")).json()["predictions"]
    return predictions


async def test_a_server_knows_only_the_jobs_and_predictions_of_its_deployment(
    database_url: str, redis_url: str
) -> None:
    stores: dict[str, Any] = {
        "database_url": database_url, "redis_url": redis_url, "namespace": "team-a",
    }  # fmt: skip
    async with (
        open_app(**stores, deployment="first") as (first, _),
        open_app(**stores, deployment="second") as (second, _),
    ):
        job = (await first.post("/predict/text/batch", json={"inputs": ["a"]})).json()
        await first.post("/predict/text", json={"input_text": "a"})
        await eventually(lambda: _logged(first))
        assert (await second.get("/predictions")).json() == {"predictions": [], "next": None}
        url = job["status_url"]
        requests = [("GET", url, accept) for accept in ("*/*", *_STREAMS)]
        requests += [("DELETE", url, "*/*"), ("POST", url + "/retry", "*/*")]
        for method, path, accept in requests:
            response = await second.request(method, path, headers={"Accept": accept})
            assert check_problem(response, status=404)["code"] == "TaskNotFound", (method, accept)
        assert (await first.get(url)).json()["status"] == "queued"


def _write_results(database_url: str, task_id: str, count: int) -> None:
    """Write results as a worker does: a vector for each item, but an error for the last."""
    rows: list[tuple[Any, ...]] = [
        (task_id, index, None, [0.5, float(index)], None, None, 1) for index in range(count - 1)
    ]
    rows.append((task_id, count - 1, None, None, "InvalidInput", "rejected", 2))
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO batch_results"
            " (job_id, idx, prediction, embedding, error_code, error_message, attempts)"
            " VALUES (%s, %s, %s, %s::real[], %s, %s, %s)",
            rows,
        )
        cursor.execute(
            "UPDATE batch_jobs SET state = 'partial', succeeded = %s, failed = 1,"
            " finished_at = now() WHERE id = %s",
            (count - 1, task_id),
        )


@pytest.fixture
async def finished(app: httpx2.AsyncClient, database_url: str) -> str:
    """The status URL of a finished job with five items."""
    response = await app.post("/predict/text/batch", json={"inputs": list("abcde")})
    _write_results(database_url, response.json()["task_id"], 5)
    url: str = response.json()["status_url"]
    return url


async def test_results_are_returned_in_pages(app: httpx2.AsyncClient, finished: str) -> None:
    results: list[dict[str, Any]] = []
    pages = 0
    url: str | None = finished + "?limit=2"
    while url is not None:
        page = (await app.get(url)).json()
        results += page["results"]
        url = page["next"]
        pages += 1
    assert pages == 3
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert results[3] == {"index": 3, "attempts": 1, "prediction": {"embedding": [0.5, 3.0]}}
    assert results[4] == {
        "index": 4,
        "attempts": 2,
        "error": {"code": "InvalidInput", "message": "rejected"},
    }


async def test_results_are_returned_as_lines(app: httpx2.AsyncClient, finished: str) -> None:
    response = await app.get(finished, headers={"Accept": "application/x-ndjson"})
    assert response.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 4]


async def test_the_events_of_a_finished_job_end_with_done(
    app: httpx2.AsyncClient, finished: str
) -> None:
    response = await app.get(finished, headers={"Accept": "text/event-stream"})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    event, data = response.text.strip().splitlines()[-2:]
    assert event == "event: done"
    assert json.loads(data.removeprefix("data: "))["status"] == "partial"


async def test_a_job_accepts_rows_of_a_table(database_url: str) -> None:
    async with open_app(TABLE_MODEL, database_url=database_url) as (client, _):
        good = {"inputs": [[1, 2], {"height": 3, "width": 4}]}
        assert (await client.post("/predict/tabular/batch", json=good)).status_code == 202
        bad = {"inputs": [[1, 2], [1, "x"]]}
        response = await client.post("/predict/tabular/batch", json=bad)
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"].startswith("inputs.1")
        unsupported = await client.post("/predict/text/batch", json={"inputs": ["a"]})
        assert unsupported.status_code == 404
        assert unsupported.json()["code"] == "UnknownModality"


def _sentences(count: int) -> Iterator[bytes]:
    for index in range(count):
        yield json.dumps({"input_text": f"sentence number {index} of many"}).encode() + b"\n"


def test_a_hundred_thousand_lines_need_constant_memory(
    echo_package: Path, start_inference: StartInference, database_url: str, redis_url: str
) -> None:
    import psutil

    server = start_inference(echo_package, database_url=database_url, redis_url=redis_url)
    process = psutil.Process(server.pid)
    with httpx2.Client(base_url=server.url, timeout=100) as client:
        client.post("/predict/text/batch", content=_sentences(1000), headers=NDJSON)
        before = process.memory_info().rss
        response = client.post("/predict/text/batch", content=_sentences(100_000), headers=NDJSON)
        growth = process.memory_info().rss - before
    assert response.status_code == 202, response.text
    assert response.json()["total"] == 100_000
    assert growth < 64 * 1024 * 1024


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a stream as (name, data)."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_progress_is_streamed_as_events(
    echo_package: Path, start_inference: StartInference, database_url: str
) -> None:
    server = start_inference(echo_package, database_url=database_url, max_streams=1)
    accept = {"Accept": "text/event-stream"}
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        job = client.post("/predict/text/batch", json={"inputs": list("abcde")}).json()
        with client.stream("GET", job["status_url"], headers=accept) as stream:
            events = _events(stream.iter_lines())
            name, data = next(events)
            assert (name, data["status"], data["succeeded"]) == ("progress", "queued", 0)
            second = client.get(job["status_url"], headers=accept)
            assert check_problem(second, status=429)["code"] == "TooManyStreams"
            # Idle streams of one kind keep none of another out.
            assert client.get(job["status_url"], headers={"Accept": _STREAMS[0]}).text == ""
            upload = client.post("/predict/text/batch", content=b'"a"', headers=NDJSON)
            assert upload.status_code == 202
            _write_results(database_url, job["task_id"], 5)
            name, data = next(events)
            assert (name, data["status"], data["succeeded"]) == ("done", "partial", 4)
            assert list(events) == []
        assert client.get(job["status_url"], headers=accept).status_code == 200


async def test_a_progress_stream_ends_with_an_event_that_tells_clients_to_reconnect(
    database_url: str,
) -> None:
    async with open_app(database_url=database_url, progress_stream_seconds=0.1) as (client, _):
        job = (await client.post("/predict/text/batch", json={"inputs": ["a"]})).json()
        response = await client.get(job["status_url"], headers={"Accept": _STREAMS[1]})
    events = list(_events(iter(response.text.split("\n"))))
    assert [name for name, _ in events] == ["progress", "reconnect"]


def test_streams_end_when_the_server_shuts_down(
    echo_package: Path, start_inference: StartInference, database_url: str
) -> None:
    server = start_inference(echo_package, database_url=database_url)
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        job = client.post("/predict/text/batch", json={"inputs": ["a"]}).json()
        with client.stream(
            "GET", job["status_url"], headers={"Accept": "text/event-stream"}
        ) as stream:
            events = _events(stream.iter_lines())
            assert next(events)[0] == "progress"
            server.terminate()
            assert list(events) == [("reconnect", {})]
    assert server.wait() == 0
