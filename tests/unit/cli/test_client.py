"""The client retries where that can help, and explains rejected requests."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.fixtures.prepared_service import Response, ok, problem, serving

from slipway_cli.client import SlipwayClient
from slipway_cli.local.servers.ports import find_free_port
from slipway_cli.request_errors import RequestRefused, ServiceUnavailable


@contextmanager
def listening_once() -> Iterator[tuple[int, queue.Queue[bytes]]]:
    """Yield a port, and a queue with the first bytes that a client sends there."""
    received: queue.Queue[bytes] = queue.Queue()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                received.put(connection.recv(100))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], received
        thread.join(timeout=5)


FULL = (
    429,
    {"Content-Type": "application/problem+json", "Retry-After": "0"},
    b'{"detail": "full"}',
)


def test_a_request_to_a_full_queue_is_retried() -> None:
    with serving(FULL, FULL, ok({"id": "1"})) as service, SlipwayClient(service.url) as client:
        assert client.predict_text("text") == {"id": "1"}
    assert len(service.requests) == 3


def test_retries_end_after_retry_seconds() -> None:
    with (
        serving(*[FULL] * 20) as service,
        SlipwayClient(service.url, retry_seconds=0.5) as client,
        pytest.raises(ServiceUnavailable, match="full"),
    ):
        client.predict_text("text")


def test_a_retry_after_beyond_the_time_for_retries_fails_at_once() -> None:
    full = (429, {**FULL[1], "Retry-After": "600"}, FULL[2])
    with (
        serving(full) as service,
        SlipwayClient(service.url, retry_seconds=5) as client,
        pytest.raises(ServiceUnavailable),
    ):
        client.predict_text("text")


def test_a_rejected_request_is_not_retried_and_the_error_names_the_field() -> None:
    rejected = problem(
        422, "InvalidInput", "2 things are wrong", [{"field": "labels.0", "message": "is empty"}]
    )
    with (
        serving(rejected) as service,
        SlipwayClient(service.url) as client,
        pytest.raises(RequestRefused) as caught,
    ):
        client.predict_text("text", labels=["a"])
    assert caught.value.lines() == ["2 things are wrong [InvalidInput]", "  labels.0: is empty"]


def test_a_field_in_the_message_is_not_repeated() -> None:
    rejected = problem(422, "InvalidInput", "`a` is empty", [{"field": "a", "message": "is empty"}])
    with (
        serving(rejected) as service,
        SlipwayClient(service.url) as client,
        pytest.raises(RequestRefused) as caught,
    ):
        client.predict_text("")
    assert caught.value.lines() == ["`a` is empty [InvalidInput]"]


def test_an_unreachable_service_is_reported() -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    with (
        SlipwayClient(url, retry_seconds=0) as client,
        pytest.raises(
            ServiceUnavailable, match=rf"{url} cannot be reached.*is the service running"
        ),
    ):
        client.health()


def test_a_retry_is_reported_once() -> None:
    messages: list[str] = []
    with (
        serving(FULL, FULL, ok({"id": "1"})) as service,
        SlipwayClient(service.url, retry_seconds=20, on_retry=messages.append) as client,
    ):
        client.predict_text("text")
    assert messages == [f"{service.url} cannot answer at the moment: trying again for up to 20 s"]


def test_proxies_are_bypassed_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    response = ok({"status": "ok"})
    with serving(response) as proxy, serving(response, response) as service:
        monkeypatch.setenv("http_proxy", proxy.url)
        for url in (service.url, service.url.replace("127.0.0.1", "localhost")):
            with SlipwayClient(url) as client:
                client.health()
        with SlipwayClient("http://slipway.example") as client:
            client.health()
    assert [path for _, path, _, _ in service.requests] == ["/health", "/health"]
    assert [path for _, path, _, _ in proxy.requests] == ["http://slipway.example/health"]


def test_a_socks_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening_once() as (port, received):
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{port}")
        with (
            SlipwayClient("http://slipway.example", retry_seconds=0) as client,
            pytest.raises(ServiceUnavailable, match="cannot be reached"),
        ):
            client.health()
        assert received.get(timeout=5)[:1] == b"\x05"  # the greeting of SOCKS version 5


@pytest.mark.parametrize("proxy", ["socks4://127.0.0.1:1", "gopher://127.0.0.1"])
def test_an_unsupported_proxy_is_reported(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(RequestRefused, match="set ALL_PROXY, HTTP_PROXY and HTTPS_PROXY to"):
        SlipwayClient("http://slipway.example")


def test_an_invalid_address_is_rejected() -> None:
    with pytest.raises(RequestRefused, match="is not an address"):
        SlipwayClient("http://[::1")


def test_a_response_of_another_service_is_reported() -> None:
    page = (200, {"Content-Type": "text/html"}, b"<html>")
    with (
        serving(page) as service,
        SlipwayClient(service.url) as client,
        pytest.raises(RequestRefused, match="is this a Slipway service"),
    ):
        client.predict_text("text")


def test_a_submission_is_repeated_in_full_with_the_same_idempotency_key() -> None:
    with serving(FULL, ok({"task_id": "t"})) as service, SlipwayClient(service.url) as client:
        client.submit(lambda: (b'"%d"\n' % n for n in range(3)), labels=["a", "b"])
    (_, first_path, first, first_body), (_, _, second, second_body) = service.requests
    assert first_path == "/predict/text/batch?labels=a&labels=b"
    assert first_body == second_body == b'"0"\n"1"\n"2"\n'
    assert first["idempotency-key"] == second["idempotency-key"]
    assert first["content-type"] == "application/x-ndjson"


def test_options_of_a_job_are_query_parameters() -> None:
    with serving(ok({"task_id": "t"})) as service, SlipwayClient(service.url) as client:
        client.submit(
            lambda: [b"[1, 2]\n"],
            modality="tabular",
            deadline_seconds=90,
            webhook_url="https://a/b",
        )
    (_, path, _, _) = service.requests[0]
    assert path == "/predict/tabular/batch?deadline_seconds=90&webhook_url=https%3A%2F%2Fa%2Fb"


def test_watching_resumes_after_an_interruption() -> None:
    def events(*progress: tuple[str, str]) -> Response:
        text = "retry: 2000\n\n: a comment\n\n" + "".join(
            f'event: {name}\ndata: {{"status": "{status}"}}\n\n' for name, status in progress
        )
        return 200, {"Content-Type": "text/event-stream"}, text.encode()

    cut = events(("progress", "queued"), ("progress", "running"))
    rest = events(("progress", "running"), ("done", "succeeded"))
    with serving(cut, rest) as service, SlipwayClient(service.url) as client:
        states = [progress["status"] for progress in client.watch("t")]
    assert states == ["queued", "running", "running", "succeeded"]


def test_results_resume_after_an_interruption() -> None:
    lines = [json.dumps({"index": index}).encode() + b"\n" for index in range(4)]
    kind = {"Content-Type": "application/x-ndjson"}
    # It announces more bytes than it sends, like an interrupted connection.
    cut = (200, {**kind, "Content-Length": "1000"}, lines[0] + lines[1])
    rest = (200, kind, lines[2] + lines[3])
    with serving(cut, rest) as service, SlipwayClient(service.url) as client:
        assert [result["index"] for result in client.results("t")] == [0, 1, 2, 3]
    assert service.requests[1][1] == "/predict/status/t?after=1"


def test_results_with_every_other_kind_of_line_end_are_complete() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei\rj"
    results = [{"index": index, "prediction": {"label": text}} for index in range(2)]
    lines = [json.dumps(result, ensure_ascii=False).encode() + b"\n" for result in results]
    kind = {"Content-Type": "application/x-ndjson"}
    with (
        serving((200, kind, b"".join(lines))) as service,
        SlipwayClient(service.url) as client,
    ):
        assert list(client.results("t")) == results


def test_failed_inputs_are_retried_by_request() -> None:
    with (
        serving(ok({"task_id": "t", "status": "queued"})) as service,
        SlipwayClient(service.url) as client,
    ):
        assert client.retry("t")["status"] == "queued"
    assert service.requests[0][:2] == ("POST", "/predict/status/t/retry")
