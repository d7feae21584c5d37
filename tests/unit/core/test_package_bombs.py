"""Packages that are small to send and large to read are rejected within bounds, in one sentence.

Each is read in a process of its own, whose growth in memory is measured.
"""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway_core.errors import ModelInvalid
from slipway_core.models.bert.weights import MAX_HEADER_BYTES, WeightsFile
from slipway_core.models.tokenizer_file import MAX_TOKENIZER_BYTES, read_tokenizer
from slipway_core.package.archive import unpack
from slipway_core.package.limits import Limits

MEBIBYTE = 1024 * 1024
MAX_GROWTH_BYTES = 64 * MEBIBYTE
UNPACK = """
import resource, sys
from pathlib import Path
from slipway_core.errors import ModelInvalid
from slipway_core.package.archive import unpack
from slipway_core.package.limits import Limits

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]), Limits())
except ModelInvalid as error:
    print(peak() - before, error.message)
"""


def header(kind: bytes, content: bytes) -> bytes:
    """Return a tar header of a kind, followed by its content."""
    member = tarfile.TarInfo("header")
    member.type, member.size = kind, len(content)
    return member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def record(key: str, value: str) -> bytes:
    """Return a record of a pax header: its length, a key and a value."""
    rest = f" {key}={value}\n"
    length = len(rest) + len(str(len(rest)))
    length += len(str(length)) - len(str(len(rest)))
    return f"{length}{rest}".encode()


def tar(*parts: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with gzip.open(path, "wb", 1) as file:
            for part in parts:
                file.write(part)
            file.write(tarfile.TarInfo("a").tobuf() + bytes(1024))

    return write


def zip_of_many_entries(path: Path) -> None:
    """Write a zip whose directory has two million entries."""
    count = 2_000_000
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 4) + bytes(16)
    block = b"".join(entry + b"%04d" % number for number in range(10_000))
    size = count * (len(entry) + 4)
    with path.open("wb") as file:
        file.write(b"PK\x03\x04" + bytes(26))
        for _ in range(count // 10_000):
            file.write(block)
        end = 30 + size
        file.write(
            struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, 30)
        )
        file.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1))
        file.write(
            struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
        )


LARGE = "x" * (15 * MEBIBYTE)
SPARSE = (
    record("GNU.sparse.major", "1")
    + record("GNU.sparse.minor", "0")
    + record("GNU.sparse.name", "a")
    + record("GNU.sparse.realsize", "1")
)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (zip_of_many_entries, "more than 10000 files"),
        (tar(*[header(tarfile.XHDTYPE, record("comment", LARGE))] * 8), "unreasonable size"),
        (tar(*[header(tarfile.XGLTYPE, record("comment", LARGE))] * 8), "unreasonable size"),
        (tar(*[header(tarfile.XHDTYPE, record("c", "x"))] * 3_000), "unreasonable size"),
        (tar(*[header(tarfile.GNUTYPE_LONGNAME, LARGE.encode())] * 8), "unreasonable size"),
        (tar(*[header(tarfile.GNUTYPE_LONGLINK, LARGE.encode())] * 8), "unreasonable size"),
        (tar(header(tarfile.XHDTYPE, b"1" * 12_000)), "unreasonable size"),
        (
            tar(
                header(tarfile.XHDTYPE, SPARSE),
                header(tarfile.REGTYPE, b"999999999\n" + b"1\n" * (8 * MEBIBYTE)),
            ),
            "unreasonable size",
        ),
    ],
    ids=[
        "zip directory", "pax", "global pax", "pax chain", "long name", "long link", "digits",
        "sparse map",
    ],
)  # fmt: skip
@pytest.mark.timeout(200)
def test_an_archive_is_bounded_while_it_is_read(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / "bomb")
    done = subprocess.run(
        [sys.executable, "-c", UNPACK, tmp_path / "bomb", tmp_path / "out"],
        capture_output=True, text=True, check=True, timeout=180,
    )  # fmt: skip
    growth, _, text = done.stdout.partition(" ")
    assert message in text
    assert text.count("\n") == 1
    assert int(growth) < MAX_GROWTH_BYTES


def test_other_compressions_of_a_zip_are_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as bundle:
        bundle.writestr("a", b"content")
    with pytest.raises(ModelInvalid, match="another way than by deflate"):
        unpack(tmp_path / "a.zip", tmp_path / "out", Limits())


def test_folders_are_not_nested_without_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr("a/" * 200 + "b", b"content")
    with pytest.raises(ModelInvalid, match="not a plain path"):
        unpack(tmp_path / "a.zip", tmp_path / "out", Limits())


def test_the_header_of_safetensors_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little"))
        file.truncate(2 * MAX_HEADER_BYTES)
    with pytest.raises(ModelInvalid, match=f"its header has {MAX_HEADER_BYTES + 1} bytes"):
        WeightsFile(path)


def test_a_tokenizer_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(MAX_TOKENIZER_BYTES + 1)
    with pytest.raises(ModelInvalid, match="is larger than"):
        read_tokenizer(path)


@pytest.mark.parametrize("runtime", ["torch-export", "torchscript"])
def test_the_directory_of_an_exported_program_is_bounded(tmp_path: Path, runtime: str) -> None:
    from slipway_core.errors import ModelLoadFailed
    from slipway_core.models.loading import load_model
    from slipway_core.models.model import LoadOptions
    from slipway_core.package.manifest_file import read_manifest

    zip_of_many_entries(tmp_path / "weights")
    manifest = {
        "name": "mine", "task": "tensor", "runtime": runtime, "files": {"weights": "weights"},
        "inputs": [{"name": "x", "shape": [-1, 2]}], "outputs": [{"name": "y"}],
    }  # fmt: skip
    (tmp_path / "slipway.yaml").write_text(json.dumps(manifest))
    with pytest.raises(ModelLoadFailed, match="more than 100000 files"):
        load_model(tmp_path, read_manifest(tmp_path), LoadOptions())
