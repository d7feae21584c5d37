"""Packages in S3: an archive, or the objects below a prefix."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import tarfile
from pathlib import Path

import pytest
from tests.fixtures.s3_server import S3Server

from slipway_core.errors import (
    ModelDownloadFailed,
    ModelIntegrityError,
    ModelInvalid,
    ModelNotFound,
)
from slipway_core.package.digest import folder_digest
from slipway_core.package.limits import Limits
from slipway_core.package.resolve import resolve_package

MANIFEST = b"name: mine\nversion: '3'\ntask: python\nruntime: python\n"
QUICK = Limits(backoff_seconds=0.01, max_fruitless_attempts=2)


@pytest.fixture
def bucket() -> str:
    return f"models-{secrets.token_hex(6)}"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in {"slipway.yaml": MANIFEST, "model.py": os.urandom(100_000)}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_an_archive_is_downloaded_again_only_after_a_change(
    s3_server: S3Server, bucket: str, cache: Path
) -> None:
    key = f"{bucket}/models/mine.tar.gz"
    content = archive()
    s3_server.put(key, content)

    package = resolve_package(f"s3://{key}", cache=cache, limits=QUICK)
    again = resolve_package(f"s3://{key}", cache=cache, limits=QUICK)

    assert package == again
    assert package.manifest.digest == hashlib.sha256(content).hexdigest()
    assert s3_server.reads(key) == 1

    changed = archive()
    s3_server.put(key, changed)
    newer = resolve_package(f"s3://{key}", cache=cache, limits=QUICK)
    assert newer.manifest.digest == hashlib.sha256(changed).hexdigest()


def test_a_large_object_is_downloaded_in_blocks(
    s3_server: S3Server, bucket: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway_core.package.sources.s3.BLOCK_BYTES", 30_000)
    key = f"{bucket}/mine.tar.gz"
    content = archive()
    s3_server.put(key, content)
    expected = hashlib.sha256(content).hexdigest()

    package = resolve_package(f"s3://{key}", sha256=expected, cache=cache, limits=QUICK)

    assert package.manifest.name == "mine"
    assert s3_server.reads(key) == -(-len(content) // 30_000)


def test_a_prefix_is_a_folder(s3_server: S3Server, bucket: str, cache: Path) -> None:
    files = {"slipway.yaml": MANIFEST, "model.py": b"x = 1", "deep/er/data": os.urandom(50_000)}
    for name, content in files.items():
        s3_server.put(f"{bucket}/mine/{name}", content)
    s3_server.put(f"{bucket}/mine2/other", b"not of this model")

    package = resolve_package(f"s3://{bucket}/mine/", cache=cache, limits=QUICK)

    actual = {
        str(path.relative_to(package.folder)): path.read_bytes()
        for path in package.folder.rglob("*")
        if path.is_file()
    }
    assert actual == files
    assert package.manifest.digest == folder_digest(package.folder)


def test_errors_are_distinguished(s3_server: S3Server, bucket: str, cache: Path) -> None:
    s3_server.put(f"{bucket}/mine.zip", b"PK no archive")
    with pytest.raises(ModelNotFound, match="check bucket and key"):
        resolve_package(f"s3://{bucket}/other.zip", cache=cache, limits=QUICK)
    with pytest.raises(ModelNotFound, match="check bucket and key"):
        resolve_package("s3://no-such-bucket/mine.zip", cache=cache, limits=QUICK)
    with pytest.raises(ModelInvalid, match="damaged"):
        resolve_package(f"s3://{bucket}/mine.zip", cache=cache, limits=QUICK)
    with pytest.raises(ModelIntegrityError):
        resolve_package(f"s3://{bucket}/mine.zip", sha256="0" * 64, cache=cache, limits=QUICK)
    small = Limits(max_download_bytes=5)
    with pytest.raises(ModelInvalid, match="more than this service accepts"):
        resolve_package(f"s3://{bucket}/mine.zip", cache=cache, limits=small)


def test_an_unavailable_server_is_a_retryable_error(
    bucket: str, cache: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(ModelDownloadFailed) as raised:
        resolve_package(f"s3://{bucket}/mine.zip", cache=cache, limits=QUICK)
    assert raised.value.retryable
