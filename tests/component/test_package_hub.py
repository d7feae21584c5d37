"""Packages on the hub: a commit of a repository, without the files that Slipway does not read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.fixtures.hub_server import COMMIT, HubServer

from slipway_core.errors import (
    ModelAccessDenied,
    ModelDownloadFailed,
    ModelIntegrityError,
    ModelInvalid,
    ModelNotFound,
)
from slipway_core.package.digest import folder_digest
from slipway_core.package.limits import Limits
from slipway_core.package.resolve import Package, resolve_package

QUICK = Limits(backoff_seconds=0.01, max_fruitless_attempts=2)
PACKAGE_FILES = {
    "config.json": json.dumps({"model_type": "bert", "max_position_embeddings": 512}).encode(),
    "tokenizer.json": b"{}",
    "model.safetensors": os.urandom(200_000),
    "1_Pooling/config.json": b"{}",
}
IGNORED_FILES = {
    "pytorch_model.bin": b"pickled",
    "tf_model.h5": b"x",
    "onnx/model.onnx": b"x",
    ".gitattributes": b"x",
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(hub_server: HubServer) -> HubServer:
    """Return the hub, with a model to serve."""
    hub_server.files = PACKAGE_FILES | IGNORED_FILES
    return hub_server


def resolve(cache: Path, uri: str = "hf://acme/mine", sha256: str = "") -> Package:
    return resolve_package(uri, sha256=sha256, cache=cache, limits=QUICK)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_revision_is_downloaded_once(hub: HubServer, cache: Path, revision: str) -> None:
    first = resolve(cache, f"hf://acme/mine{revision}")
    second = resolve(cache, f"hf://acme/mine{revision}", first.manifest.digest)

    assert first == second
    assert files_below(first.folder) == PACKAGE_FILES
    assert sorted(hub.reads) == sorted(PACKAGE_FILES)
    assert (first.manifest.name, first.manifest.runtime) == ("mine", "bert")
    assert first.manifest.digest == folder_digest(first.folder)


def test_a_new_commit_is_used_unless_the_package_is_pinned(hub: HubServer, cache: Path) -> None:
    before = resolve(cache)
    assert resolve(cache) == before
    assert len(hub.reads) == len(PACKAGE_FILES)

    hub.commit, hub.files = COMMIT[::-1], PACKAGE_FILES | {"tokenizer.json": b"[]"}
    after = resolve(cache)

    assert (after.folder / "tokenizer.json").read_bytes() == b"[]"
    assert resolve(cache, sha256=before.manifest.digest) == before
    with pytest.raises(ModelIntegrityError):
        resolve(cache, sha256="0" * 64)


def test_an_interrupted_download_is_resumed(hub: HubServer, cache: Path) -> None:
    hub.cut_once_after = 150_000
    assert files_below(resolve(cache).folder) == PACKAGE_FILES


def test_errors_are_distinguished(hub: HubServer, cache: Path) -> None:
    with pytest.raises(ModelNotFound, match="hf://acme/other"):
        resolve(cache, "hf://acme/other")
    with pytest.raises(ModelNotFound, match="RevisionNotFound"):
        resolve(cache, "hf://acme/mine@v9")
    small = Limits(max_download_bytes=1000)
    with pytest.raises(ModelInvalid, match="more than this service accepts"):
        resolve_package("hf://acme/mine", cache=cache, limits=small)
    hub.gated = True
    with pytest.raises(ModelAccessDenied, match="HF_TOKEN"):
        resolve(cache)


def test_an_unavailable_hub_is_a_retryable_error(
    hub: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resolve(cache)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert resolve(cache) == before  # from the cache
    with pytest.raises(ModelDownloadFailed) as raised:
        resolve(cache, "hf://acme/mine@other")
    assert raised.value.retryable


def test_a_request_to_a_busy_hub_is_retried(hub: HubServer, cache: Path) -> None:
    hub.failures = 1
    assert resolve(cache).manifest.name == "mine"
