"""Connections that cost a server more than their clients: many, slow, unread, or badly framed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from tests.adversarial.bodies import KIBIBYTE, MEBIBYTE
from tests.adversarial.target import Target

HOLD_SECONDS = 3.0
"""How long connections are held open, so that the probes meet them."""
ANSWER_SECONDS = 30.0
HEAD = b"POST /predict/text HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BODY = json.dumps({"input_text": "a text"}).encode()
MANY = 2_100


@dataclass(frozen=True)
class ConnectionAttack:
    """What clients do to a server: `run` returns the statuses that they got."""

    name: str
    run: Callable[[Target], list[int]]


def _send_all(target: Target, parts: Iterator[bytes]) -> list[int]:
    """Send parts as fast as the server takes them, and return the statuses of all responses."""
    with target.process.connect(ANSWER_SECONDS) as connection:
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            for part in parts:
                connection.sendall(part)
        return _statuses(connection)


def _statuses(connection: socket.socket) -> list[int]:
    """Return the statuses of the responses until the server closes the connection."""
    received = b""
    with suppress(ConnectionResetError, TimeoutError):
        while chunk := connection.recv(MEBIBYTE):
            received += chunk
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def _repeat(before: bytes, unit: bytes, after: bytes, size: int) -> Iterator[bytes]:
    yield before
    block = unit * (64 * KIBIBYTE // len(unit))
    for _ in range(size // len(block)):
        yield block
    yield after


def _trailers(target: Target) -> list[int]:
    head = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    body = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
    return _send_all(target, _repeat(head + body, b"X-Trailer: value\r\n", b"\r\n", 32 * MEBIBYTE))


def _headers(target: Target) -> list[int]:
    return _send_all(target, _repeat(HEAD, b"X-Header: value\r\n", b"\r\n", 16 * MEBIBYTE))


def _one_header(target: Target) -> list[int]:
    return _send_all(target, _repeat(HEAD + b"X-Header: ", b"a", b"\r\n\r\n", 16 * MEBIBYTE))


def _one_byte_chunks(target: Target) -> list[int]:
    head = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return _send_all(target, _repeat(head, b"1\r\n \r\n", b"0\r\n\r\n", 16 * MEBIBYTE))


def _chunk_extensions(target: Target) -> list[int]:
    head = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1;"
    return _send_all(target, _repeat(head, b"a", b"\r\n \r\n0\r\n\r\n", 16 * MEBIBYTE))


def _pipelined(target: Target) -> list[int]:
    """Send many requests before the first response is read."""
    request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    last = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    with target.process.connect(HOLD_SECONDS) as connection:
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            connection.sendall(request * 2_000 + last)
        return sorted(set(_statuses(connection)))


def _unread(target: Target) -> list[int]:
    """Ask for large responses on many connections, and read none of them."""
    text = json.dumps({"input_text": "word " * 100_000}).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(text), text)
    with ExitStack() as stack:
        for _ in range(64):
            connection = stack.enter_context(target.process.connect(HOLD_SECONDS))
            with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
                connection.sendall(request * 2)
        _hold(target)
        for _ in range(64):
            pages = stack.enter_context(target.process.connect(HOLD_SECONDS))
            pages.sendall(b"GET /predictions?limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
        _hold(target)
    return [target.request("GET", "/health")]


def _slow_bodies(target: Target) -> list[int]:
    """Promise large bodies on many connections, and send them byte by byte."""
    head = HEAD + b"Content-Length: %d\r\n\r\n" % (16 * MEBIBYTE)
    with ExitStack() as stack:
        slow = [stack.enter_context(target.process.connect()) for _ in range(300)]
        for connection in slow:
            connection.sendall(head + b" " * 64 * KIBIBYTE)
        _hold(target, slow)
        return [_predict(target)]


def _slow_headers(target: Target) -> list[int]:
    with ExitStack() as stack:
        slow = [stack.enter_context(target.process.connect()) for _ in range(300)]
        for connection in slow:
            connection.sendall(HEAD + b"X-Slow: ")
        _hold(target, slow)
        return [_predict(target)]


def _idle(target: Target) -> list[int]:
    """Hold more connections than a server accepts, after one request on each."""
    with ExitStack() as stack:
        for _ in range(MANY):
            with suppress(OSError):
                connection = stack.enter_context(target.process.connect(HOLD_SECONDS))
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        _hold(target)
    return []


def _event_streams(target: Target) -> list[int]:
    """Follow a job on more connections than there are streams."""
    job = json.dumps({"inputs": ["a"]}).encode()
    head = b"POST /predict/text/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with target.process.connect(ANSWER_SECONDS) as connection:
        length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(job)
        connection.sendall(head + length + job)
        answer = b""
        while chunk := connection.recv(MEBIBYTE):
            answer += chunk
    task_id = json.loads(answer.partition(b"\r\n\r\n")[2])["task_id"]
    request = (
        f"GET /predict/status/{task_id} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
    )
    with ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(target.process.connect(HOLD_SECONDS))
            connection.sendall(request.encode())
        _hold(target)
        return [_predict(target)]


def _gone_clients(target: Target) -> list[int]:
    """Send large requests and leave before the response."""
    text = json.dumps({"input_text": "word " * 100_000}).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(text), text)
    for _ in range(100):
        with target.process.connect(ANSWER_SECONDS) as connection:
            connection.sendall(request)
    return [_predict(target)]


def _hold(target: Target, slow: list[socket.socket] | None = None) -> None:
    """Leave the connections open for HOLD_SECONDS, with a byte now and then on slow ones."""
    end = time.monotonic() + HOLD_SECONDS
    while time.monotonic() < end:
        for connection in slow or []:
            with suppress(OSError):
                connection.send(b" ")
        target.request("GET", "/health")


def _predict(target: Target) -> int:
    return target.request("POST", "/predict/text", BODY, {"Content-Type": "application/json"})


ATTACKS = [
    ConnectionAttack("trailers", _trailers),
    ConnectionAttack("headers", _headers),
    ConnectionAttack("one header", _one_header),
    ConnectionAttack("chunks of a byte", _one_byte_chunks),
    ConnectionAttack("chunk extensions", _chunk_extensions),
    ConnectionAttack("pipelined requests", _pipelined),
    ConnectionAttack("responses that nobody reads", _unread),
    ConnectionAttack("slow bodies", _slow_bodies),
    ConnectionAttack("slow headers", _slow_headers),
    ConnectionAttack("idle connections", _idle),
    ConnectionAttack("event streams", _event_streams),
    ConnectionAttack("clients that left", _gone_clients),
]
