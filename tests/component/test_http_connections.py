"""Connections of a real server: half-closed and pipelining clients, junk behind a request."""

from __future__ import annotations

import re
import resource
import select
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.fixtures.models import write_python_package
from tests.fixtures.services import (
    ServiceProcess,
    StartInference,
    raw_prediction,
    receive_all,
    wait_until,
)

pytestmark = pytest.mark.component

ECHO = """
from slipway_core.runtime import Model

class Echo(Model):
    def predict(self, batch):
        return [{"text": value} for value in batch]
"""
MAX_GROWTH_BYTES = 64 * 1024 * 1024


@pytest.fixture
def server(tmp_path: Path, start_inference: StartInference) -> ServiceProcess:
    return start_inference(write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo"))


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answer)]


@pytest.mark.parametrize("path", [b"/livez", b"/metrics", b"/v2", b"/nowhere"])
def test_a_client_that_closes_its_side_gets_its_response(
    server: ServiceProcess, path: bytes
) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        connection.shutdown(socket.SHUT_WR)
        answer = receive_all(connection)
    assert statuses(answer) == [404 if path == b"/nowhere" else 200]


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        (raw_prediction(b'{"input_text": "a"}'), [200, 400]),
        (raw_prediction(b"{}"), [422, 400]),
        (raw_prediction(b'{"input_text": "a"}') * 3, [200, 200, 200, 400]),
    ],
)
def test_junk_behind_requests_is_rejected_after_their_responses(
    server: ServiceProcess, requests: bytes, expected: list[int]
) -> None:
    with server.connect() as connection:
        connection.sendall(requests + b"junk\r\n\r\n")
        answer = receive_all(connection)
    assert statuses(answer) == expected


def test_pipelined_requests_do_not_count_as_headers(server: ServiceProcess) -> None:
    request = raw_prediction(b'{"input_text": "a"}')
    count = 40_000 // len(request)  # more than the headers of one request may have
    last = raw_prediction(b'{"input_text": "a"}', b"HTTP/1.1\r\nHost: a\r\nConnection: close")
    with server.connect(timeout_seconds=60) as connection:
        connection.sendall(request * count + last[:20])
        connection.sendall(last[20:])
        answer = receive_all(connection)
    assert statuses(answer) == [200] * (count + 1)


def test_a_client_that_pipelines_without_reading_does_not_fill_the_memory(
    server: ServiceProcess,
) -> None:
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    requests = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 2000
    with server.connect(timeout_seconds=3) as connection:
        sent = 0
        try:
            while sent < 100 * len(requests):
                sent += connection.send(requests)
        except TimeoutError:
            pass  # the server has stopped reading
        growth = process.memory_info().rss - before
    assert growth < MAX_GROWTH_BYTES


def test_probes_are_answered_while_clients_hold_every_connection(
    tmp_path: Path, start_inference: StartInference, free_port: int
) -> None:
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    server = start_inference(package, wait=False, metrics_port=free_port, max_connections=8)
    server.wait_for_listener()
    probes = f"http://127.0.0.1:{free_port}"
    wait_until(lambda: httpx2.get(f"{probes}/readyz").status_code == 200, what="readiness")
    with ExitStack() as stack:
        for _ in range(8):
            held = stack.enter_context(server.connect())
            held.sendall(raw_prediction(b"x" * 100)[:-50])  # a request whose body never ends
        assert httpx2.get(f"{probes}/livez").status_code == 200
        assert "prediction_requests_total" in httpx2.get(f"{probes}/metrics").text
    assert httpx2.get(f"{server.url}/livez").status_code == 404
    assert httpx2.get(f"{server.url}/health").status_code == 200


def test_a_port_of_the_probes_in_use_stops_the_start(
    tmp_path: Path, start_inference: StartInference, free_port: int
) -> None:
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    with socket.create_server(("127.0.0.1", free_port)):
        server = start_inference(package, wait=False, metrics_port=free_port)
        assert server.wait() == 1
    assert server.lines()[-1]["code"] == "InvalidSettings"


def _holds_no_connection(held: socket.socket) -> bool:
    ready, _, _ = select.select([held], [], [], 0)
    return bool(ready) and held.recv(1) == b""


def test_idle_connections_are_closed_for_new_ones(
    tmp_path: Path, start_inference: StartInference
) -> None:
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    server = start_inference(package, max_connections=8)
    with ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(20)]
        assert httpx2.get(f"{server.url}/livez").status_code == 200
        wait_until(lambda: _holds_no_connection(idle[0]), what="the end of the oldest connection")
        assert not _holds_no_connection(idle[-1])


def test_connections_with_requests_are_kept_when_there_are_too_many(
    tmp_path: Path, start_inference: StartInference
) -> None:
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    server = start_inference(package, max_connections=4)
    request = raw_prediction(b'{"input_text": "a"}')
    with ExitStack() as stack:
        busy = [stack.enter_context(server.connect()) for _ in range(4)]
        for connection in busy:
            connection.sendall(request[:-5])
        # Its first answer may come before the four requests have begun.
        wait_until(lambda: httpx2.get(f"{server.url}/livez").status_code == 429, what="fullness")
        for connection in busy:
            connection.sendall(request[-5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert httpx2.get(f"{server.url}/livez").status_code == 200


def test_more_connections_than_the_limit_of_open_files_are_served(
    tmp_path: Path, start_inference: StartInference
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server = start_inference(package)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(server.connect())
        assert httpx2.get(f"{server.url}/livez").status_code == 200


def test_a_server_listens_on_both_families(
    tmp_path: Path, start_inference: StartInference, free_port: int
) -> None:
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    settings = {"host": "*", "metrics_host": "*", "metrics_port": free_port}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = start_inference(package, wait=False, port=port, **settings)

    def is_ready() -> bool:
        assert server.exit_status is None
        with suppress(httpx2.TransportError):
            return httpx2.get(f"http://127.0.0.1:{free_port}/readyz").status_code == 200
        return False

    wait_until(is_ready, what="readiness")
    for address in ("127.0.0.1", "[::1]"):
        assert httpx2.get(f"http://{address}:{port}/health").status_code == 200
        assert httpx2.get(f"http://{address}:{free_port}/livez").status_code == 200


def test_bodies_that_arrive_slowly_make_room_for_others(
    tmp_path: Path, start_inference: StartInference
) -> None:
    """However much of it came early."""
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    server = start_inference(package, max_buffered_bytes=450_000, body_idle_seconds=60)
    body = b'{"input_text": "%b"}' % (b"x" * 100_000)
    began = time.monotonic()
    with ExitStack() as stack:
        for _ in range(4):
            slow = stack.enter_context(server.connect())
            slow.sendall(raw_prediction(body)[:-1])

        def is_answered() -> bool:
            with server.connect() as connection:
                connection.sendall(raw_prediction(body)[:-1000])
                connection.sendall(raw_prediction(body)[-1000:])
                return connection.recv(100).startswith(b"HTTP/1.1 200 ")

        wait_until(is_answered, seconds=30, what="room")
        assert time.monotonic() - began < 30


def test_bytes_that_came_early_buy_no_time(tmp_path: Path, start_inference: StartInference) -> None:
    package = write_python_package(tmp_path / "echo", ECHO, entrypoint="Echo")
    server = start_inference(package, body_idle_seconds=2)
    body = b'{"input_text": "%b"}' % (b"x" * 300_000)
    began = time.monotonic()
    with server.connect() as connection:
        connection.sendall(raw_prediction(body)[:-1000])
        connection.settimeout(0.2)
        answer = b""
        while not answer and time.monotonic() - began < 30:
            connection.sendall(b"x")
            with suppress(TimeoutError):
                answer = connection.recv(100)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 10
