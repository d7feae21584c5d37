"""The bodies that cost a server most, made by generators up to a given size."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from slipway_inference.api.open_inference.input_tensors import MAX_ELEMENTS

KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024
JSON, NDJSON = "application/json", "application/x-ndjson"
BOUNDARY = "boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
TEXT, TABLE, IMAGE = "/predict/text", "/predict/tabular", "/predict/image"
EMBEDDINGS, INFER = "/v1/embeddings", "/v2/models/{model}/infer"


@dataclass(frozen=True)
class Attack:
    """A request that is made to cost much.

    `model` is the kind of model that it needs, `make` returns the body, at most `size` bytes long.
    """

    name: str
    model: str
    path: str
    make: Callable[[int], bytes]
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.path.strip('/')} {self.name}".replace("/", ".")


def fill(before: bytes, unit: bytes, after: bytes) -> Callable[[int], bytes]:
    """Return what makes a body of a given size by repeating a unit."""

    def make(size: int) -> bytes:
        count = (size - len(before) - len(after)) // len(unit)
        return before + unit * count + after

    return make


def fill_list(before: bytes, element: bytes, after: bytes) -> Callable[[int], bytes]:
    """Return what makes a body with a list of equal elements."""
    return fill(before + b"[", element + b",", element + b"]" + after)


def times(before: bytes, unit: bytes, after: bytes, count: int) -> Callable[[int], bytes]:
    """Return what makes a body with so many units, or fewer if they do not fit."""

    def make(size: int) -> bytes:
        most = (size - len(before) - len(after)) // len(unit)
        return before + unit * min(count, most) + after

    return make


def _values(before: bytes, after: bytes) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    """Yield bodies with costly values between `before` and `after`."""
    for name, element in {
        "empty lists": b"[]",
        "empty objects": b"{}",
        "objects": b'{"a":0}',
        "zeros": b"0",
        "integers": b"99999999",
        "exponents": b"1e9",
        "floats": b"0.12345678901234567",
        "empty texts": b'""',
        "texts": b'"abcdefgh"',
        "nulls": b"null",
        "pairs": b"[0,0]",
    }.items():
        yield name, fill_list(before, element, after)
    yield "nesting", fill(before, b"[", after)
    yield "nested objects", fill(before, b'{"a":', after)
    yield "matched nesting", _matched_nesting(before, after)
    yield "long text", fill(before + b'"', b"a", b'"' + after)
    yield "escaped text", fill(before + b'"', b"\\u0041", b'"' + after)
    yield "escaped quotes", fill(before + b'"', b'\\"', b'"' + after)
    yield "backslashes", fill(before + b'"', b"\\\\", b'"' + after)
    yield "spaces", fill(before, b" ", b"0" + after)
    yield "long name over zeros", _long_name(before, after)
    yield "different names", _different_names(before, after)
    yield "no end", fill(before + b"[", b'{"a":[0,', b"")


def _matched_nesting(before: bytes, after: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        depth = (size - len(before) - len(after)) // 2
        return before + b"[" * depth + b"]" * depth + after

    return make


def _long_name(before: bytes, after: bytes) -> Callable[[int], bytes]:
    zeros = b"[" + b"0," * 2_000 + b"0]"
    return fill(before + b'{"', b"k", b'":' + zeros + b"}" + after)


def _different_names(before: bytes, after: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        names = b",".join(b'"%07x":0' % number for number in range((size - 100) // 12))
        return before + b"{" + names + b"}" + after

    return make


def _json_attacks(
    model: str, path: str, members: dict[str, tuple[bytes, bytes]]
) -> Iterator[Attack]:
    for member, (before, after) in members.items():
        for name, make in _values(before, after):
            yield Attack(f"{member}: {name}", model, path, make)


def text_attacks() -> Iterator[Attack]:
    """Yield attacks on /predict/text and /v1/embeddings."""
    yield from _json_attacks(
        "embedder",
        TEXT,
        {
            "parameters": (b'{"input_text":"x","parameters":{"a":', b"}}"),
            "inputs": (b'{"inputs":', b"}"),
            "labels": (b'{"input_text":"x","labels":', b"}"),
            "unknown": (b'{"input_text":"x","other":', b"}"),
        },
    )
    yield from _json_attacks("embedder", EMBEDDINGS, {"input": (b'{"model":"mini","input":', b"}")})
    yield Attack("unknown name", "embedder", TEXT, fill(b'{"', b"k", b'":0}'))
    for path, before in ((TEXT, b'{"inputs":['), (EMBEDDINGS, b'{"model":"mini","input":[')):
        long = b'"' + b"many words " * 1_000 + b'",'
        yield Attack("1,023 long texts", "embedder", path, times(before, long, b'"a"]}', 1_023))
        yield Attack("1,024 texts", "embedder", path, times(before, b'"b",', b'"a"]}', 1_023))
    yield Attack(
        "a million characters", "embedder", TEXT, times(b'{"input_text":"', b"a", b'"}', 1_000_000)
    )
    yield Attack(
        "a million wide characters",
        "embedder",
        TEXT,
        times(b'{"input_text":"', "𐍈".encode(), b'"}', 1_000_000),
    )


def table_attacks() -> Iterator[Attack]:
    """Yield attacks on /predict/tabular, whose model returns what it gets."""
    yield from _json_attacks(
        "echo", TABLE, {"inputs": (b'{"inputs":', b"}"), "row": (b'{"inputs":[', b"]}")}
    )
    yield Attack("columns", "echo", TABLE, _columns)
    yield Attack("a thousand rows", "echo", TABLE, fill_rows(b'{"inputs":', b"0.5", b"}", 1_000))
    yield Attack("a wide row", "tensor", TABLE, fill_rows(b'{"inputs":', b"0.12345678901", b"}", 1))
    yield Attack("a thousand rows", "tensor", TABLE, fill_rows(b'{"inputs":', b"0.5", b"}", 1_000))


def fill_rows(before: bytes, number: bytes, after: bytes, rows: int) -> Callable[[int], bytes]:
    """Return what makes a list of equal rows of numbers, as wide as the size and the limit of a
    million values allow.
    """

    def make(size: int) -> bytes:
        width = min(size // rows, 15 * MEBIBYTE // 16 // rows * len(number)) // (len(number) + 1)
        row = b"[" + b",".join([number] * max(1, width - 1)) + b"]"
        return before + b"[" + b",".join([row] * rows) + b"]" + after

    return make


def _columns(size: int) -> bytes:
    column = "0," * 999 + "0"
    count = size // (len(column) + 20)
    return ('{"inputs":{' + ",".join(f'"{n}":[{column}]' for n in range(count)) + "}}").encode()


def image_attacks() -> Iterator[Attack]:
    """Yield attacks on /predict/image, in JSON and as forms."""
    yield from _json_attacks("echo", IMAGE, {"image": (b'{"image":', b"}")})
    yield Attack("base64", "echo", IMAGE, _base64_image)
    part = b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    end = b"\r\n--boundary--\r\n"
    for name, unit in {
        "line ends": b"\r\n",
        "returns": b"\r",
        "dashes": b"\r\n--",
        "almost boundaries": b"\r\n--boundar",
        "zeros": b"\0",
    }.items():
        yield Attack(f"form of {name}", "echo", IMAGE, fill(part, unit, end), FORM)
    yield Attack("form of boundaries", "echo", IMAGE, fill(part, b"\r\n--boundary", end), FORM)
    yield Attack("form of parts", "echo", IMAGE, fill(b"", b"\r\n" + part, end), FORM)
    header = b"--boundary\r\nContent-Disposition: form-data; name="
    yield Attack("form of one header", "echo", IMAGE, fill(header, b"a", b"\r\n\r\n" + end), FORM)
    yield Attack(
        "form of headers", "echo", IMAGE, fill(header, b"a\r\nb:", b"\r\n\r\n" + end), FORM
    )
    yield Attack("form without an end", "echo", IMAGE, fill(part, b"\0", b""), FORM)


def _base64_image(size: int) -> bytes:
    raw = picture(8, 8).ljust(min(size * 3 // 4, 10 * MEBIBYTE) - 1_000, b"\0")
    return b'{"image":"' + base64.b64encode(raw) + b'"}'


def infer_attacks() -> Iterator[Attack]:
    """Yield attacks on the Open Inference Protocol, in JSON and with raw tensors."""
    head = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],'
    yield from _json_attacks(
        "tensor",
        INFER,
        {
            "data": (head + b'"data":', b"}]}"),
            "parameters": (head + b'"data":[1,2,3,4]}],"parameters":{"a":', b"}}"),
            "tensor parameters": (head + b'"data":[1,2,3,4],"parameters":{"a":', b"}}]}"),
            "inputs": (b'{"inputs":', b"}"),
            "outputs": (head + b'"data":[1,2,3,4]}],"outputs":', b"}"),
            "shape": (b'{"inputs":[{"name":"x","datatype":"FP32","data":[1],"shape":', b"}]}"),
            "datatype": (b'{"inputs":[{"name":"x","data":[1],"shape":[1],"datatype":', b"}]}"),
        },
    )
    for rows in (1, 1_000):
        for nested in (False, True):
            yield Attack(
                f"{rows} rows of floats, {'nested' if nested else 'flat'}",
                "tensor",
                INFER,
                _json_tensor(rows, nested=nested),
            )
        yield _raw_attack(rows, b"\0\0\x80\x3f")
    yield _raw_attack(1, b"\0\0\xc0\x7f", name="not numbers")


def _json_tensor(rows: int, *, nested: bool) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        width = max(1, min(size // 21, 1_000_000) // rows)
        row: list[Any] = [0.12345678901234567] * width
        data = [row] * rows if nested else row * rows
        tensor = {"name": "x", "datatype": "FP32", "shape": [rows, width], "data": data}
        return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()

    return make


def _raw_attack(rows: int, element: bytes, name: str = "") -> Attack:
    def make(size: int) -> bytes:
        width = min((size - KIBIBYTE) // 4, MAX_ELEMENTS) // rows
        raw = element * (width * rows)
        tensor = {
            "name": "x",
            "datatype": "FP32",
            "shape": [rows, width],
            "parameters": {"binary_data_size": len(raw)},
        }
        text = json.dumps({"inputs": [tensor]}).encode()
        return text.ljust(RAW_HEAD_BYTES) + raw

    headers = {"Inference-Header-Content-Length": str(RAW_HEAD_BYTES)}
    title = f"{rows} raw rows {name}".strip()
    return Attack(title, "tensor", INFER, make, "application/octet-stream", headers)


RAW_HEAD_BYTES = 256


def batch_attacks() -> Iterator[Attack]:
    """Yield attacks on the submission of batch jobs, as JSON and as NDJSON."""
    for path in (TEXT, TABLE):
        yield from _json_attacks("echo", f"{path}/batch", {"inputs": (b'{"inputs":', b"}")})
    number = b"0.1234567890123"
    path = f"{TABLE}/batch"
    yield Attack("a wide row", "tensor", path, fill_rows(b'{"inputs":', number, b"}", 1))
    yield Attack("a thousand rows", "tensor", path, fill_rows(b'{"inputs":', number, b"}", 1_000))
    lines = fill_rows(b"", number, b"", 1)
    yield Attack("line of a wide row", "tensor", path, _at_most(lines, 8), NDJSON)
    yield Attack("image", "echo", f"{IMAGE}/batch", _base64_batch)
    for name, line in {
        "empty lines": b"\n",
        "returns": b"\r\n",
        "texts": b'"a"\n',
        "objects": b'{"input_text":"a"}\n',
        "invalid at the end": b'"abcdef"\n',
    }.items():
        end = b"[]\n" if name.startswith("invalid") else b'"end"\n'
        yield Attack(f"lines: {name}", "echo", f"{TEXT}/batch", fill(b"", line, end), NDJSON)
    for name, make in _values(b"", b"\n"):
        yield Attack(f"line of {name}", "echo", f"{TABLE}/batch", _at_most(make, 8), NDJSON)


def _base64_batch(size: int) -> bytes:
    return b'{"inputs":[' + _base64_image(size - 20).partition(b":")[2][:-1] + b"]}"


def _at_most(make: Callable[[int], bytes], mebibytes: int) -> Callable[[int], bytes]:
    return lambda size: make(min(size, mebibytes * MEBIBYTE))


def all_bodies() -> list[Attack]:
    """Return all attacks by bodies as they are."""
    return [
        *text_attacks(),
        *table_attacks(),
        *image_attacks(),
        *infer_attacks(),
        *batch_attacks(),
    ]


def compressed(attack: Attack, encoding: str) -> Attack:
    """Return an attack whose body is packed by `gzip` or `deflate`."""

    def make(size: int) -> bytes:
        body = attack.make(size)
        return gzip.compress(body, 6) if encoding == "gzip" else zlib.compress(body, 6)

    headers = {**attack.headers, "Content-Encoding": encoding}
    return Attack(
        f"{encoding}: {attack.name}", attack.model, attack.path, make, attack.content_type, headers
    )


def picture(width: int, height: int) -> bytes:
    """Return a PNG of one colour: some kilobytes for any number of pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def picture_attacks() -> Iterator[Attack]:
    """Yield pictures that are small to send and large to decode."""
    for width, height in ((16_000, 16_000), (1, 1_000_000), (1_000_000, 1)):

        def make(_: int, width: int = width, height: int = height) -> bytes:
            return b'{"image":"' + base64.b64encode(picture(width, height)) + b'"}'

        yield Attack(f"PNG {width}x{height}", "image", IMAGE, make)
