"""A required sha256 holds for what is served, whoever could write to the cache."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway_core.errors import ModelInvalid, ModelNotFound
from slipway_core.package.cache import PackageCache
from slipway_core.package.digest import folder_digest
from slipway_core.package.limits import Limits
from slipway_core.package.resolve import resolve_package
from slipway_core.package.sources.source import Fetched

MANIFEST = b"name: mine\ntask: python\nruntime: python\n"
FILES = {"slipway.yaml": MANIFEST, "model.py": b"", "lib/weights": os.urandom(3_000_000)}


class Store:
    """A source that copies one file or folder, and counts how often."""

    identity = shown = "memory://mine"

    def __init__(self, content: Path) -> None:
        self._content = content
        self.fetched = 0

    def is_unchanged(self, state: str) -> bool:
        return True

    def fetch(self, work: Path) -> Fetched:
        self.fetched += 1
        work.mkdir(parents=True, exist_ok=True)
        target = work / "copy"
        if self._content.is_file():
            shutil.copy(self._content, target)
        else:
            shutil.copytree(self._content, target)
        return Fetched(target, "state")


def make_zip(folder: Path) -> Path:
    path = folder / "mine.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in FILES.items():
            bundle.writestr(name, content)
    return path


def make_tar(folder: Path) -> Path:
    path = folder / "mine.tar.gz"
    with tarfile.open(path, "w:gz") as bundle:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            bundle.addfile(member, io.BytesIO(content))
    return path


def make_folder(folder: Path) -> Path:
    for name, content in FILES.items():
        path = folder / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "mine"


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else folder_digest(path)


def change_a_file(content: Path) -> None:
    (content / "model.py").write_bytes(b"evil")


def change_the_end(content: Path) -> None:
    with (content / "lib" / "weights").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")


def add_a_file(content: Path) -> None:
    (content / "evil.py").write_bytes(b"")


def add_a_file_that_the_digest_leaves_out(content: Path) -> None:
    (content / "__pycache__").mkdir()
    (content / "__pycache__" / "evil.py").write_bytes(b"")


def remove_a_file(content: Path) -> None:
    (content / "lib" / "weights").unlink()


def replace_a_file_by_a_link(content: Path) -> None:
    target = content.parent / "elsewhere"
    (content / "lib" / "weights").rename(target)
    (content / "lib" / "weights").symlink_to(target)


@pytest.mark.parametrize("make", [make_zip, make_tar, make_folder])
@pytest.mark.parametrize(
    "tamper",
    [
        change_a_file,
        change_the_end,
        add_a_file,
        add_a_file_that_the_digest_leaves_out,
        remove_a_file,
        replace_a_file_by_a_link,
    ],
)
def test_a_changed_cache_is_not_served(
    tmp_path: Path, make: Callable[[Path], Path], tamper: Callable[[Path], None]
) -> None:
    source = Store(make(tmp_path))
    sha256 = digest_of(make(tmp_path))
    cache = PackageCache(tmp_path / "cache", Limits())
    content, _ = cache.fetch(source, sha256)
    assert cache.fetch(source, sha256) == (content, sha256)
    assert cache.get_offline(source.identity, source.shown, sha256) == (content, sha256)
    assert source.fetched == 1

    tamper(content)
    (content.parent / "tree").write_text(folder_digest(content))

    with pytest.raises(ModelNotFound):
        cache.get_offline(source.identity, source.shown, sha256)
    content, _ = cache.fetch(source, sha256)
    assert source.fetched == 2
    found = {path for path in content.rglob("*") if path.is_file()}
    assert {str(path.relative_to(content)): path.read_bytes() for path in found} == FILES


def test_an_archive_that_was_fetched_without_a_pin_does_not_satisfy_one(tmp_path: Path) -> None:
    archive = make_zip(tmp_path)
    source = Store(archive)
    cache = PackageCache(tmp_path / "cache", Limits())
    cache.fetch(source, "")
    cache.fetch(source, digest_of(archive))
    cache.fetch(source, digest_of(archive))
    assert source.fetched == 2


def test_a_local_archive_is_compared_with_what_was_unpacked(tmp_path: Path) -> None:
    archive = str(make_zip(tmp_path))
    folder = resolve_package(archive, cache=tmp_path / "cache").folder
    change_a_file(folder)
    (folder.parent / "tree").write_text(folder_digest(folder))
    assert (
        resolve_package(archive, cache=tmp_path / "cache").folder / "model.py"
    ).read_text() == ""


def test_what_the_digest_leaves_out_is_not_kept(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    for name in (".git/config", "lib/.cache/x.py", "__pycache__/model.pyc", "..data/x", "..y"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"evil")
    content, _ = PackageCache(tmp_path / "cache", Limits()).fetch(Store(folder), "")
    found = {str(path.relative_to(content)) for path in content.rglob("*") if path.is_file()}
    assert found == set(FILES)


def test_a_folder_that_the_digest_leaves_out_is_no_package(tmp_path: Path) -> None:
    make_folder(tmp_path).rename(tmp_path / "__pycache__")
    (tmp_path / "outer").mkdir()
    (tmp_path / "__pycache__").rename(tmp_path / "outer" / "__pycache__")
    with pytest.raises(ModelInvalid, match=r"no slipway\.yaml"):
        resolve_package(str(tmp_path / "outer"), cache=tmp_path / "cache")
