"""Bad input on every route of a real server: the response is a 4xx that names the field."""

from __future__ import annotations

import base64
import json
import re
import select
import socket
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.fixtures.models import EVERY_MODALITY, write_python_package
from tests.fixtures.pictures import png_of
from tests.fixtures.problems import check_problem
from tests.fixtures.services import ServiceProcess, StartInference, raw_prediction, receive_all

from slipway_inference.http.connection import LINGER_SECONDS

pytestmark = pytest.mark.component

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
TEXT, TEXT_BATCH = "/predict/text", "/predict/text/batch"
TABLE, TABLE_BATCH = "/predict/tabular", "/predict/tabular/batch"
PICTURE = base64.b64encode(png_of(4, 4)).decode()
IMAGE, IMAGE_BATCH = "/predict/image", "/predict/image/batch"
UNKNOWN_JOB = "/predict/status/0199d2a4-7c1e-7b3a-9f00-2b6d1c4e8a55"

EVERYTHING = """
from slipway_core.runtime import Model

class Everything(Model):
    def predict(self, batch):
        return [{"kind": type(value).__name__} for value in batch]
"""


@dataclass(frozen=True)
class Case:
    """A request that must be rejected with `status`. `named` is a field or part of the message."""

    path: str
    body: bytes = b""
    status: int = 422
    named: str = ""
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    method: str = "POST"


def _case(path: str, value: Any, named: str, status: int = 422) -> Case:
    return Case(path, json.dumps(value).encode(), status, named)


DEEP = b'{"parameters":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


def _json_cases(path: str, member: str, good: Any) -> list[Case]:
    """Return errors in JSON bodies that every route must reject."""
    return [
        Case(path, b"", 400, "empty"),
        Case(path, b"{", 400, "JSON"),
        Case(path, b'{"\xff": 1}', 400, "UTF-8"),
        Case(path, DEEP, 400, "deep"),
        Case(path, b"NaN", 400, "JSON"),
        Case(path, json.dumps({member: good, "parameters": {"a": float("nan")}}).encode(), 400),
        _case(path, [], "body"),
        _case(path, None, "body"),
        _case(path, {}, member),
        _case(path, {member: good, "extra": 1}, "extra"),
        _case(path, {member: good, "parameters": []}, "parameters"),
        _case(path, {member: good, "parameters": {"a": "\0"}}, "parameters.a"),
        Case(path, b"<a/>", 415, "application/json", {"Content-Type": "application/xml"}),
        Case(path, b" " * (2**21), 413, "bytes"),
        Case(path, b"", 405, "method", method="PATCH"),
        Case(path, b"{}", 431, "headers", {**JSON, "X-Large": "x" * 40_000}),
    ]


CASES = [
    *_json_cases(TEXT, "input_text", "a"),
    *_json_cases(TABLE, "inputs", [[1]]),
    *_json_cases(IMAGE, "image", PICTURE),
    *_json_cases(TEXT_BATCH, "inputs", ["a"]),
    *_json_cases(TABLE_BATCH, "inputs", [[1]]),
    *_json_cases(IMAGE_BATCH, "inputs", [PICTURE]),
    _case(TEXT, {"input_text": 3}, "input_text"),
    _case(TEXT, {"input_text": None}, "input_text"),
    _case(TEXT, {"input_text": ["a"]}, "input_text"),
    _case(TEXT, {"input_text": ""}, "input_text"),
    _case(TEXT, {"input_text": "  \n"}, "input_text"),
    _case(TEXT, {"inputs": "a"}, "inputs"),
    _case(TEXT, {"inputs": []}, "inputs"),
    _case(TEXT, {"inputs": ["a", 3]}, "inputs.1"),
    _case(TEXT, {"inputs": ["a", " "]}, "inputs.1"),
    _case(TEXT, {"inputs": ["a"], "input_text": "b"}, "inputs"),
    _case(TEXT, {"inputs": ["a"] * 5000}, "inputs", 413),
    _case(TEXT, {"input_text": "a\0b"}, "input_text"),
    Case(TEXT, b'{"input_text": "\\ud800"}', 400),
    _case(TEXT, {"input_text": "x" * 1_000_001}, "input_text"),
    _case(TEXT, {"input_text": "a", "labels": "b"}, "labels"),
    _case(TEXT, {"input_text": "a", "labels": [""]}, "labels.0"),
    _case(TEXT, {"input_text": "a", "labels": ["b", "b"]}, "labels"),
    _case(TEXT, {"input_text": "a", "labels": [str(n) for n in range(101)]}, "labels"),
    _case(TABLE, {"inputs": []}, "inputs"),
    _case(TABLE, {"inputs": "a"}, "inputs"),
    _case(TABLE, {"inputs": {"a": [1], "b": [1, 2]}}, "inputs.b"),
    _case(TABLE, {"inputs": [[1]] * 5000}, "inputs", 413),
    Case(TABLE, b'{"inputs": [[1e999]]}', 422, "inputs"),
    _case(IMAGE, {"image": "not base64!"}, "image"),
    _case(IMAGE, {"image": ""}, "image"),
    Case(IMAGE, b"--x", 400, "form", {"Content-Type": "multipart/form-data; boundary=y"}),
    Case(IMAGE, b"--x", 400, "form", {"Content-Type": "multipart/form-data"}),
    _case("/predict/audio", {"input_text": "a"}, "audio", 404),
    _case("/predict/audio/batch", {"inputs": ["a"]}, "audio", 404),
    _case(TEXT_BATCH, {"inputs": []}, "inputs"),
    _case(TEXT_BATCH, {"inputs": "a"}, "inputs"),
    _case(TEXT_BATCH, {"inputs": ["a", 1]}, "inputs.1"),
    _case(TEXT_BATCH, {"inputs": ["a", {"text": "b"}]}, "inputs.1.input_text"),
    _case(TEXT_BATCH, {"inputs": ["a", "b\0"]}, "inputs.1"),
    _case(TEXT_BATCH, {"inputs": ["a"], "deadline_seconds": -1}, "deadline_seconds"),
    _case(TEXT_BATCH, {"inputs": ["a"], "deadline_seconds": 1e9}, "deadline_seconds"),
    _case(TEXT_BATCH, {"inputs": ["a"], "webhook_url": "ftp://x"}, "webhook"),
    _case(TEXT_BATCH, {"inputs": ["a"], "webhook_url": "http://127.0.0.1/"}, "webhook"),
    _case(TEXT_BATCH, {"inputs": [0] * 1_000_000}, "bytes", 413),
    Case(TEXT_BATCH, b"1\n" * 1_000_000, 422, "line 1", NDJSON),
    Case(TEXT_BATCH + "?deadline_seconds=9", b'{"inputs":["a"]}', 422, "deadline_seconds"),
    _case(TABLE, {"inputs": [[2**64]]}, "inputs.0.0"),
    _case(TABLE, {"inputs": [[-(2**63) - 1]]}, "inputs.0.0"),
    _case(TEXT, {"input_text": "a", "parameters": {"n": 2**70}}, "parameters.n"),
    Case("/predictions?until=0.5", b"", 422, "until", method="GET"),
    Case(TEXT_BATCH + "?deadline_seconds=x", b'"a"', 422, "deadline_seconds", NDJSON),
    Case(TEXT_BATCH + "?deadline_seconds=nan", b'"a"', 422, "deadline_seconds", NDJSON),
    Case(TEXT_BATCH + "?parameters=3", b'"a"', 422, "parameters", NDJSON),
    Case(TEXT_BATCH + "?parameters={", b'"a"', 400, "parameters", NDJSON),
    Case(TEXT_BATCH + "?labels=", b'"a"', 422, "labels.0", NDJSON),
    Case(TEXT_BATCH, b'["a"]', 422, "line 1", NDJSON),
    Case(TEXT, b'{"input_text":"a"}', 422, "X-Request-Timeout-Ms", {"X-Request-Timeout-Ms": "x"}),
    Case(TEXT, b'{"input_text":"a"}', 422, "X-Request-Timeout-Ms", {"X-Request-Timeout-Ms": ""}),
    Case(TEXT, b'{"input_text":"a"}', 422, "X-Request-Timeout-Ms", {"X-Request-Timeout-Ms": "0"}),
    Case(
        TEXT, b'{"input_text":"a"}', 422, "X-Request-Timeout-Ms", {"X-Request-Timeout-Ms": "9" * 8}
    ),
    Case("/predict/status/1", b"", 422, "task_id", method="GET"),
    Case("/predict/status/%00", b"", 422, "task_id", method="GET"),
    Case(UNKNOWN_JOB, b"", 404, "task", method="GET"),
    Case(UNKNOWN_JOB, b"", 404, "task", method="DELETE"),
    Case(UNKNOWN_JOB + "?limit=0", b"", 422, "limit", method="GET"),
    Case(UNKNOWN_JOB + "?limit=1e9", b"", 422, "limit", method="GET"),
    Case(UNKNOWN_JOB + "?after=-5", b"", 422, "after", method="GET"),
    Case("/predictions?limit=0", b"", 422, "limit", method="GET"),
    Case("/predictions?since=yesterday", b"", 422, "since", method="GET"),
    Case("/predictions?model=%00", b"", 422, "model", method="GET"),
    Case("/predictions?status=a%20b", b"", 422, "status", method="GET"),
    Case("/predictions?cursor=1", b"", 422, "cursor", method="GET"),
    Case("/nowhere", b"", 404, "/docs", method="GET"),
    Case("/docs/../etc/passwd", b"", 404, "", method="GET"),
    Case("/models/other/predict/text", b"{}", 404, "other"),
    Case("/health", b"", 405, "method", method="POST"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that accepts texts, rows and images."""
    folder = tmp_path_factory.mktemp("everything")
    return write_python_package(
        folder, EVERYTHING, entrypoint="Everything", name="all", modalities=EVERY_MODALITY
    )


@pytest.fixture
def server(
    package: Path, start_inference: StartInference, database_url: str, redis_url: str
) -> ServiceProcess:
    """A server with a database, a queue, and a small limit for bodies."""
    return start_inference(
        package,
        database_url=database_url,
        redis_url=redis_url,
        max_body_bytes=1024 * 1024 + 1024,
        max_queue_tokens=1_000_000,
    )


def _send_in_one_packet(server: ServiceProcess, case: Case) -> httpx2.Response:
    """Send a request in one packet. HTTP clients send headers and body in two."""
    headers = {"Host": "a", "Content-Length": str(len(case.body)), **case.headers}
    lines = [f"{case.method} {case.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    with _connect(server) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + case.body)
        response = HTTPResponse(connection, method=case.method)
        response.begin()
        content = response.read()
    return httpx2.Response(response.status, headers=response.getheaders(), content=content)


@pytest.mark.parametrize("one_packet", [True, False])
def test_every_bad_request_is_rejected_with_a_reason(
    server: ServiceProcess, one_packet: bool
) -> None:
    failures = []
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        for number, case in enumerate(CASES):
            if one_packet:
                response = _send_in_one_packet(server, case)
            else:
                response = client.request(
                    case.method, case.path, content=case.body, headers=case.headers
                )
            try:
                problem = check_problem(response, status=case.status)
                fields = [error["field"] for error in problem["errors"]]
                assert case.named in problem["detail"] or case.named in fields, problem
            except (AssertionError, KeyError, ValueError) as error:
                failures.append(f"{number}: {case.path} {case.body[:60]!r}: {str(error)[:400]}")
        assert not failures, "\n".join(failures)
        assert client.post(TEXT, json={"input_text": "x" * 1_000_000}).status_code == 200
        assert client.get("/readyz").status_code == 200
    lines = server.lines()
    assert [line for line in lines if line.get("code") == "InternalError"] == []
    assert [line for line in lines if "exception" in line] == []


def _connect(server: ServiceProcess) -> socket.socket:
    """Open a TCP connection to the server."""
    return server.connect(timeout_seconds=30)


def _receive_problem(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Receive a response until the server closes the connection; return its status and problem."""
    head, _, body = receive_all(connection).partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    return int(head.split()[1]), json.loads(body)


MALFORMED_HTTP = [
    (b"nonsense\r\n\r\n", 400, "MalformedBody"),
    (b"GET / HTTP/1.1\r\nX: \x00\r\n\r\n", 400, "MalformedBody"),
    (b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * 70_000, 431, "HeadersTooLarge"),
    (b"GET /" + b"x" * 70_000, 431, "HeadersTooLarge"),
    (
        # Rejected, and the connection closed, before the client sends a byte of the body.
        b"POST /predict/text HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n",
        413,
        "PayloadTooLarge",
    ),
]


def test_malformed_http_is_rejected_with_a_problem(
    package: Path, start_inference: StartInference
) -> None:
    server = start_inference(package)
    for sent, status, code in MALFORMED_HTTP:
        with _connect(server) as connection:
            connection.sendall(sent)
            actual, problem = _receive_problem(connection)
            assert (actual, problem["code"]) == (status, code)


@pytest.mark.parametrize("sent", [b"GET /" + b"x" * 70_000, b"nonsense\r\n\r\n"])
def test_a_client_that_keeps_sending_receives_the_response(
    package: Path, start_inference: StartInference, sent: bytes
) -> None:
    server = start_inference(package)
    with _connect(server) as connection:
        connection.sendall(sent)
        select.select([connection], [], [], 30)  # the server has responded, and stops reading
        connection.sendall(b"x" * 70_000)
        status, _ = _receive_problem(connection)
        assert status in (400, 431)


def test_a_stalled_body_does_not_hold_the_connection(
    package: Path, start_inference: StartInference
) -> None:
    server = start_inference(package, body_idle_seconds=0.5, header_timeout_seconds=0.5)
    with _connect(server) as body:
        body.sendall(
            b'POST /predict/text HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"input'
        )
        status, problem = _receive_problem(body)
        assert (status, problem["code"]) == (408, "RequestTimeout")
    with _connect(server) as headers:
        headers.sendall(b"GET /livez HTTP/1.1\r\nHost:")
        assert headers.recv(1000) == b""


@pytest.mark.parametrize("then", [b"GET /livez HTTP/1.1\r\nHost:", b"\r\n"])
def test_an_unfinished_next_request_does_not_hold_the_connection(
    package: Path, start_inference: StartInference, then: bytes
) -> None:
    server = start_inference(package, header_timeout_seconds=0.5)
    with _connect(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.sendall(then)
        connection.settimeout(5)  # shorter than the timeout of idle connections
        assert connection.recv(1000) == b""


def test_a_connection_is_kept_after_a_rejected_request(
    package: Path, start_inference: StartInference
) -> None:
    server = start_inference(package, header_timeout_seconds=0.5)
    with _connect(server) as connection:
        for _ in range(2):
            connection.sendall(raw_prediction(b"{}"))
            assert connection.recv(65536).startswith(b"HTTP/1.1 422 ")
            ready, _, _ = select.select([connection], [], [], 1)  # twice the header timeout
            assert not ready, "the connection was closed"


@pytest.mark.parametrize(
    ("first", "statuses"),
    [
        (b"HTTP/1.1\r\nHost: a", [422, 200]),
        (b"HTTP/1.1\r\nHost: a\r\nExpect: 100-continue", [422, 200]),
        (b"HTTP/1.1\r\nHost: a\r\nConnection: close", [422]),
        (b"HTTP/1.0", [422]),
    ],
)
def test_a_request_in_the_same_packet_as_a_rejected_one_gets_its_own_response(
    package: Path, start_inference: StartInference, first: bytes, statuses: list[int]
) -> None:
    server = start_inference(package, keep_alive_seconds=1)
    rejected = raw_prediction(b"{}", first)
    last = raw_prediction(b'{"input_text": "a"}', b"HTTP/1.1\r\nHost: a\r\nConnection: close")
    with _connect(server) as connection:
        connection.sendall(rejected + last)
        responses = receive_all(connection)
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", responses)] == statuses
    with httpx2.Client(base_url=server.url) as client:
        counted = re.findall(
            r'prediction_requests_total{code="(\w*)",modality="text",status="(\w+)"}',
            client.get("/metrics").text,
        )
    assert sorted(counted) == sorted([("InvalidInput", "error"), ("", "ok")][: len(statuses)])


def test_responses_to_many_requests_in_one_packet_come_in_order(
    package: Path, start_inference: StartInference
) -> None:
    server = start_inference(package)
    bodies = [b"{}", b'{"input_text": "a"}'] * 50
    with _connect(server) as connection:
        connection.sendall(
            b"".join(map(raw_prediction, bodies))
            + b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        responses = receive_all(connection)
    statuses = [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", responses)]
    assert statuses == [422, 200] * 50 + [200]


def test_a_request_sent_before_the_previous_response_has_the_full_body_timeout(
    package: Path, start_inference: StartInference
) -> None:
    server = start_inference(package, body_idle_seconds=30)
    request = raw_prediction(b'{"input_text": "a"}')
    partial = request[:-14]  # with five bytes of the body
    with _connect(server) as connection:
        connection.sendall(request + partial)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        ready, _, _ = select.select([connection], [], [], LINGER_SECONDS + 1)
        assert not ready, "the connection was closed"
        connection.sendall(request[len(partial) :])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
