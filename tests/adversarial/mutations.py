"""Requests for a fuzzer: valid ones of every route, and mutations of their bytes."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

MAX_MUTATIONS = 6
"""Of one request. Most still look enough like a request to reach the code behind the parser."""
MAX_SPAN = 64
"""Bytes that one mutation removes or repeats."""

UNKNOWN_JOB = "/predict/status/0199d2a4-7c1e-7b3a-9f00-2b6d1c4e8a55"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)

TOKENS: tuple[bytes, ...] = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b'"', b"\\", b"{", b"}", b"[",
    b"]", b"?", b"#", b"-1", b"1e400", b"NaN", b"Infinity", b"null", b"18446744073709551616",
    b"9" * 400, b"[" * 40, b'{"a":' * 40, b'"\\ud800"', b"\\u0000", b"\xff\xfe", b"\xe2\x80\xa8",
    b"\xf0\x9f\xa6\x86", b"\xc2\x85", b"%00", b"%2e%2e/", b"../../etc/passwd",
    b"\r\n\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"\r\n folded: line",
    b"\r\nContent-Length: 5", b"\r\nContent-Length: -1", b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding: gzip, chunked", b"\r\nExpect: 100-continue", b"\r\nUpgrade: h2c",
    b"\r\nUpgrade: websocket", b"\r\nConnection: Upgrade", b"\r\nContent-Encoding: gzip",
    b"\r\nContent-Encoding: br", b"\r\nX-Request-ID: \xff", b"\r\nX-Request-Timeout-Ms: 0",
    b"\r\nAccept: text/event-stream", b"\r\nContent-Type: application/x-ndjson",
    b"\r\nContent-Type: multipart/form-data; boundary=b", b"\r\nIdempotency-Key: a",
    b"\r\nInference-Header-Content-Length: 10", b"\r\nX-Forwarded-For: 10.0.0.1",
    b" HTTP/1.1\r\nHost: a\r\n\r\nGET /predictions?limit=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/0.9", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HEAD", b"OPTIONS", b"DELETE",
    b"TRACE",
)  # fmt: skip
"""Bytes that parsers treat in a way of their own."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 0.5, 1e308, 2**53 + 1, 2**64 - 1, -(2**63), "", " ", "a", "é" * 300,
    "a" * 20_000, [], [[]], [None], [[1], [1, 2]], ["a", 1], {}, {"": ""}, {"a": []},
    {"a": {"b": 1}}, {"shape": [-1]}, {"data": "!"}, [[[[[[[[[[1]]]]]]]]]], list(range(300)),
    {str(n): n for n in range(300)},
)  # fmt: skip
"""JSON values that take the place of others."""


def valid_requests(model: str) -> list[bytes]:
    """Return a request for every route of a server of the model, in several encodings."""
    text = json.dumps({"input_text": "a", "parameters": {"n": [1, {"deep": None}]}}).encode()
    webhook = b'{"inputs": [[1], [2]], "webhook_url": "http://a.example/"}'
    embed = b'{"input": ["a", "b"], "model": "m", "encoding_format": "base64"}'
    many = json.dumps({"inputs": ["a", "b"], "deadline_seconds": 60}).encode()
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + PIXEL + b"\r\n--b--\r\n"
    )
    tensor = {"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["a"]}
    infer = json.dumps({"id": "1", "inputs": [tensor]}).encode()
    described = {**tensor, "parameters": {"binary_data_size": 5}}
    del described["data"]
    header = json.dumps({"inputs": [described]}).encode()
    ndjson = b'"a"\n{"input_text": "b"}\n\n"c"'
    lines = "Content-Type: application/x-ndjson"
    multipart = "Content-Type: multipart/form-data; boundary=b"
    size = f"Inference-Header-Content-Length: {len(header)}"
    return [
        _post("/predict/text", text),
        _post("/predict/text", text, chunked=True),
        _post("/predict/text", gzip.compress(text), "Content-Encoding: gzip"),
        _post("/predict/text", json.dumps({"inputs": ["a", "b"], "labels": ["x", "y"]}).encode()),
        _post("/predict/tabular", b'{"inputs": {"a": [1, 2.5], "b": [null, true]}}'),
        _post("/predict/tabular", b'{"inputs": [[1, 2], [3, 4]]}', "X-Request-Timeout-Ms: 20000"),
        _post("/predict/image", json.dumps({"image": base64.b64encode(PIXEL).decode()}).encode()),
        _post("/predict/image", form, multipart),
        _post("/predict/text/batch", many, "Idempotency-Key: k"),
        _post("/predict/text/batch", ndjson, lines, chunked=True),
        _post("/predict/text/batch?deadline_seconds=9", ndjson, lines),
        _post("/predict/tabular/batch", webhook),
        _post("/v1/embeddings", embed),
        _post(f"/v2/models/{model}/infer", infer),
        _post(f"/v2/models/{model}/infer", header + b"\1\0\0\0a", size),
        _post(f"/v2/models/{model}/infer", gzip.compress(infer), "Content-Encoding: gzip"),
        *(
            _get(path)
            for path in (
                "/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/models",
                "/v2", "/v2/health/ready", "/v2/health/live", f"/v2/models/{model}",
                f"/v2/models/{model}/ready", f"/models/{model}/predict/text", UNKNOWN_JOB,
                UNKNOWN_JOB + "?limit=2&after=1", UNKNOWN_JOB + "/results", UNKNOWN_JOB + "/events",
                "/predictions?limit=3&model=m&status=ok&since=2026-01-01T00:00:00Z", "/predictions",
            )
        ),
        _get(UNKNOWN_JOB, method="DELETE"),
    ]  # fmt: skip


def mutated_requests(seeds: list[bytes], random: Random) -> Iterator[bytes]:
    """Yield mutations of the seeds without end, the same ones for the same state of `random`."""
    while True:
        request = random.choice(seeds)
        for _ in range(random.randint(1, MAX_MUTATIONS)):
            request = random.choice(_MUTATORS)(request, seeds, random)
        yield _with_true_length(request) if random.random() < 0.8 else request


def _post(path: str, body: bytes, *headers: str, chunked: bool = False) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", "Connection: close", *headers]
    if not any(header.startswith("Content-Type:") for header in headers):
        lines.append("Content-Type: application/json")
    if not chunked:
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
    middle = len(body) // 2
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:middle], body[middle:])
    )
    head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode()
    return head + chunks + b"0\r\n\r\n"


def _get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


def _with_true_length(request: bytes) -> bytes:
    """Return the request with a correct Content-Length, so that a changed body is read whole."""
    head, end, body = request.partition(b"\r\n\r\n")
    before, name, rest = head.partition(b"Content-Length: ")
    if not (end and name):
        return request
    _, line_end, after = rest.partition(b"\r\n")
    return before + name + b"%d" % len(body) + line_end + after + end + body


def _place(request: bytes, random: Random) -> int:
    return random.randrange(len(request) + 1)


def _flip_bit(request: bytes, _: list[bytes], random: Random) -> bytes:
    changed = bytearray(request or b"a")
    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _set_byte(request: bytes, _: list[bytes], random: Random) -> bytes:
    changed = bytearray(request or b"a")
    changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _insert_token(request: bytes, _: list[bytes], random: Random) -> bytes:
    place = _place(request, random)
    return request[:place] + random.choice(TOKENS) + request[place:]


def _insert_header(request: bytes, _: list[bytes], random: Random) -> bytes:
    """Insert a token after a line of the head, where one that is a header has an effect."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    place = len(b"\r\n".join(lines[: random.randint(1, len(lines))]))
    return request[:place] + random.choice(TOKENS) + request[place:]


def _replace_json(request: bytes, _: list[bytes], random: Random) -> bytes:
    """Replace a value, or add a member, somewhere in a JSON body."""
    head, end, body = request.partition(b"\r\n\r\n")
    try:
        value = json.loads(body)
    except ValueError:
        return request
    return head + end + json.dumps(_with_replacement(value, random)).encode()


def _with_replacement(value: Any, random: Random) -> Any:
    if not isinstance(value, dict | list) or not value or random.random() < 0.2:
        return random.choice(VALUES)
    if isinstance(value, list):
        index = random.randrange(len(value))
        return [*value[:index], _with_replacement(value[index], random), *value[index + 1 :]]
    key = random.choice([*value, "extra"])
    return {**value, key: _with_replacement(value.get(key), random)}


def _remove_span(request: bytes, _: list[bytes], random: Random) -> bytes:
    place = _place(request, random)
    return request[:place] + request[place + random.randint(1, MAX_SPAN) :]


def _repeat_span(request: bytes, _: list[bytes], random: Random) -> bytes:
    place = _place(request, random)
    span = request[place : place + random.randint(1, MAX_SPAN)]
    return request[:place] + span * random.choice((1, 2, 50)) + request[place:]


def _splice(request: bytes, seeds: list[bytes], random: Random) -> bytes:
    other = random.choice(seeds)
    return request[: _place(request, random)] + other[_place(other, random) :]


def _append(request: bytes, seeds: list[bytes], random: Random) -> bytes:
    return request.replace(b"Connection: close\r\n", b"") + random.choice(seeds)


def _truncate(request: bytes, _: list[bytes], random: Random) -> bytes:
    return request[: _place(request, random)]


_Mutator = Callable[[bytes, list[bytes], Random], bytes]
_MUTATORS: tuple[_Mutator, ...] = (
    _flip_bit,
    _set_byte,
    _insert_token,
    _insert_token,
    _insert_header,
    _replace_json,
    _replace_json,
    _remove_span,
    _repeat_span,
    _splice,
    _append,
    _truncate,
)
