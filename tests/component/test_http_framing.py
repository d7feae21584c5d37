"""Where requests end: bodies behind an Upgrade, ambiguous lengths, trailers, chunk extensions."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import psutil
import pytest
from tests.fixtures.models import write_python_package
from tests.fixtures.services import ServiceProcess, receive_all

pytestmark = pytest.mark.component

ECHO = """
from slipway_core.runtime import Model

class Echo(Model):
    def predict(self, batch):
        return [{"text": value} for value in batch]
"""
SMUGGLED = b"GET /predictions?limit=1 HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO = b'{"input_text": "hello"}'
LAST = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

UPGRADES = {
    "curl --http2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "websocket": b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n",
    "unknown": b"upgrade: a/1, b\r\nconnection: UPGRADE\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("framing")
    package = write_python_package(folder / "echo", ECHO, entrypoint="Echo")
    settings = {"port": 0, "model_uri": f"file://{package}", "threads": 1, "drain_delay_seconds": 0}
    process = ServiceProcess("slipway_inference", folder / "log", settings)
    process.wait_until_ready()
    yield process
    process.stop()


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answer)]


def post(
    body: bytes, headers: bytes = b"", *, chunked: bool = False, path: bytes = b"/predict/text"
) -> bytes:
    """Return a request with further header lines."""
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%b%b\r\n\r\n%b" % (path, headers, length, sent)


def exchange(server: ServiceProcess, *packets: bytes) -> bytes:
    """Send packets, one segment each, and return what is received until the connection ends."""
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for packet in packets:
            connection.sendall(packet)
        return receive_all(connection)


def splits(request: bytes) -> Iterator[list[bytes]]:
    """Yield ways to send a request: at once, its head first, and in small pieces."""
    head = request.index(b"\r\n\r\n") + 4
    yield [request]
    yield [request[:head], request[head:]]
    yield [request[start : start + 7] for start in range(0, len(request), 7)]


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=list(UPGRADES))
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_upgrade_is_ignored_and_its_body_is_read(
    server: ServiceProcess, upgrade: bytes, chunked: bool
) -> None:
    for packets in splits(post(HELLO, upgrade, chunked=chunked) + LAST):
        answer = exchange(server, *packets)
        assert statuses(answer) == [200, 200]
        assert b'"hello"' in answer


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=list(UPGRADES))
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/predict/text", 400),
        (b"/predict/text/batch", 400),
        (b"/v1/embeddings", 400),
        (b"/v2/models/echo-model/infer", 404),
        (b"/nowhere", 404),
        (b"/livez", 405),
    ],
)
def test_a_body_behind_an_upgrade_is_no_request(
    server: ServiceProcess, upgrade: bytes, chunked: bool, path: bytes, status: int
) -> None:
    for packets in splits(post(SMUGGLED, upgrade, chunked=chunked, path=path) + LAST):
        first, *others = statuses(exchange(server, *packets))
        assert first in (status, 503)  # 503: the routes of batch jobs have no database here
        assert others == [200]


def test_an_upgrade_without_a_body_is_ignored(server: ServiceProcess) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: a\r\n" + UPGRADES["websocket"] + b"\r\n"
    for packets in splits(request + request + LAST):
        assert statuses(exchange(server, *packets)) == [200, 200, 200]


def test_many_upgrades_in_one_packet_are_answered(server: ServiceProcess) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert statuses(exchange(server, request * 2000 + LAST)) == [200] * 2001


AMBIGUOUS = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n",
    "the same length twice": b"Content-Length: 4\r\nContent-Length: 4\r\n",
    "a list of lengths": b"Content-Length: 4, 4\r\n",
    "a signed length": b"Content-Length: +4\r\n",
    "a hexadecimal length": b"Content-Length: 0x4\r\n",
    "a space before the colon": b"Content-Length : 4\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked, then another": b"Transfer-Encoding: chunked, identity\r\n",
    "another coding alone": b"Transfer-Encoding: xchunked\r\n",
    "a bare line feed": b"X: a\nContent-Length: 4\r\n",
    "a bare carriage return": b"X: a\rContent-Length: 4\r\n",
    "a folded line": b"X: a\r\n Content-Length: 4\r\n",
    "a folded length": b"Content-Length:\r\n 4\r\n",
    "a name with a space": b"Content Length: 4\r\n",
}


@pytest.mark.parametrize("upgrade", [b"", UPGRADES["websocket"]], ids=["plain", "upgrade"])
@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=list(AMBIGUOUS))
def test_ambiguous_framing_is_rejected(
    server: ServiceProcess, headers: bytes, upgrade: bytes
) -> None:
    head = b"POST /predict/text HTTP/1.1\r\nHost: a\r\n" + upgrade + headers + b"\r\n"
    answer = exchange(server, head + b"0\r\n\r\n" + SMUGGLED)
    assert statuses(answer) == [400]
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_malformed_chunks_are_rejected(server: ServiceProcess, body: bytes) -> None:
    head = b"POST /predict/text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert set(statuses(exchange(server, head + body + SMUGGLED))) == {400}


CHUNKED = b"POST /predict/text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"


def test_trailers_do_not_become_headers(server: ServiceProcess) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(HELLO), HELLO)
    trailers = (
        b"X-Request-ID: from-a-trailer\r\nX-Request-Timeout-Ms: 0\r\nExpect: 100-continue\r\n"
    )
    head = CHUNKED + b"X-Request-ID: from-a-header\r\n\r\n"
    for packets in splits(head + chunk + b"0\r\n" + trailers + b"\r\n" + LAST):
        answer = exchange(server, *packets)
        assert statuses(answer) == [200, 200]
        assert b"from-a-trailer" not in answer
        assert answer.count(b"x-request-id: from-a-header") == 1


def test_trailers_of_a_request_with_an_upgrade_are_dropped(server: ServiceProcess) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(HELLO), HELLO)
    request = CHUNKED + UPGRADES["websocket"] + b"\r\n" + chunk + b"0\r\nX-Request-ID: no\r\n\r\n"
    for packets in splits(request + LAST):
        answer = exchange(server, *packets)
        assert statuses(answer) == [200, 200]
        assert b"x-request-id: no\r\n" not in answer


ENDLESS = {
    "trailers": (b"0\r\n", b"X-Trailer: " + b"x" * 1000 + b"\r\n"),
    "a trailer": (b"0\r\nX-Trailer: ", b"x" * 1000),
    "an extension": (b"1;", b"x" * 1000),
    "extensions": (b"", b"1;" + b"x" * 1000 + b"\r\n \r\n"),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=list(ENDLESS))
def test_bytes_that_are_no_body_are_bounded(
    server: ServiceProcess, begin: bytes, more: bytes
) -> None:
    before = psutil.Process(server.pid).memory_info().rss
    sent = 0
    with server.connect() as connection:
        connection.sendall(CHUNKED + b"\r\n" + begin)
        try:
            while sent < 64 * 1024 * 1024:
                connection.sendall(more * 100)
                sent += len(more) * 100
        except ConnectionError:
            pass
    assert sent < 16 * 1024 * 1024
    assert psutil.Process(server.pid).memory_info().rss - before < 16 * 1024 * 1024


def test_many_short_chunks_are_a_body(server: ServiceProcess) -> None:
    text = b"x" * 100_000
    body = b'{"input_text": "%b"}' % text
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with server.connect() as connection:
        for packet in (CHUNKED + b"\r\n", chunks, b"0\r\n\r\n" + LAST):
            connection.sendall(packet)
        assert statuses(receive_all(connection)) == [200, 200]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/health", 200),
        (b"/livez", 200),
        (b"/readyz", 200),
        (b"/metrics", 200),
        (b"/docs", 200),
        (b"/docs/swagger-ui.css", 200),
        (b"/openapi.json", 200),
        (b"/v1/models", 200),
        (b"/v1/models/handler", 200),
        (b"/v2", 200),
        (b"/v2/health/live", 200),
        (b"/v2/health/ready", 200),
        (b"/v2/models/handler", 200),
        (b"/v2/models/handler/ready", 200),
        (b"/models/handler/livez", 200),
        (b"/predictions", 503),  # there is no database
        (b"/predict/text", 405),
        (b"/nowhere", 404),
    ],
)
def test_head_is_answered_as_get_without_a_body(
    server: ServiceProcess, path: bytes, status: int
) -> None:
    heads = []
    for method in (b"GET", b"HEAD"):
        answer = exchange(
            server, b"%b %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (method, path)
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        heads.append({line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]})
        assert statuses(head) == [status]
        assert bool(body) == (method == b"GET")
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /livez HTTP/1.1\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        (b"GET /livez HTTP/1.0\r\n", 200),
    ],
)
def test_a_request_has_one_host(server: ServiceProcess, head: bytes, status: int) -> None:
    assert statuses(exchange(server, head + b"Connection: close\r\n\r\n")) == [status]
