"""Archives are unpacked completely or not at all, and never outside their folder."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_core.errors import ModelInvalid
from slipway_core.package.archive import unpack
from slipway_core.package.file_names import member_path
from slipway_core.package.limits import Limits

LIMITS = Limits(max_unpacked_bytes=100_000, max_files=20)
ESCAPES = [
    "../outside",
    "a/../../outside",
    "/etc/outside",
    "..",
    "a\\..\\..\\outside",
    "C:/outside",
    "C:outside",
    "a\nb",
    "a\x7f",
    "",
    "x" * 2000,
]


def tar_of(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                tar.addfile(entry, io.BytesIO(member[1]))
    return path


def zip_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members:
            bundle.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_files_are_unpacked_unchanged(tmp_path: Path, make: Callable[..., Path]) -> None:
    content = {"slipway.yaml": b"name: a", "deep/er/weights": os.urandom(50_000), "empty": b""}
    archive = make(tmp_path / "archive", *content.items())

    unpack(archive, tmp_path / "out", LIMITS)

    assert files_below(tmp_path / "out") == content
    modes = [path.stat().st_mode for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(mode & stat.S_IXUSR for mode in modes)


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_a_path_that_may_lead_outside_is_rejected(
    tmp_path: Path, make: Callable[..., Path], name: str
) -> None:
    archive = make(tmp_path / "archive", (name, b"evil"))

    with pytest.raises(ModelInvalid):
        unpack(archive, tmp_path / "deep" / "out", LIMITS)

    assert files_below(tmp_path).keys() == {"archive"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_rejected(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("innocent")
    member.type = kind
    member.linkname = "/etc/passwd"
    with pytest.raises(ModelInvalid, match="'innocent', a link or device"):
        unpack(tar_of(tmp_path / "a", member), tmp_path / "out", LIMITS)


def test_links_in_a_zip_are_rejected(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("innocent")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as bundle:
        bundle.writestr(link, "/etc/passwd")
    with pytest.raises(ModelInvalid, match="'innocent', a link or device"):
        unpack(tmp_path / "a", tmp_path / "out", LIMITS)


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize(
    "members",
    [
        [("a", b"1"), ("a", b"2")],
        [("a", b"1"), ("./a", b"2")],
        [("a", b"1"), ("a/b", b"2")],
        [("a/b", b"1"), ("a", b"2")],
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_cannot_replace_another(
    tmp_path: Path, make: Callable[..., Path], members: list[tuple[str, bytes]]
) -> None:
    with pytest.raises(ModelInvalid, match="twice"):
        unpack(make(tmp_path / "archive", *members), tmp_path / "out", LIMITS)


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_the_size_and_number_of_files_are_limited(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    bomb = make(tmp_path / "bomb", ("a", bytes(60_000)), ("b", bytes(60_000)))
    assert bomb.stat().st_size < 2_000
    with pytest.raises(ModelInvalid, match="larger, unpacked"):
        unpack(bomb, tmp_path / "out", LIMITS)

    swarm = make(tmp_path / "swarm", *((f"f{n}", b"") for n in range(21)))
    with pytest.raises(ModelInvalid, match="more than 20 files"):
        unpack(swarm, tmp_path / "out2", LIMITS)


def test_a_tar_header_of_gigabytes_is_rejected(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    header.size = 2**33
    (tmp_path / "a").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048)))
    with pytest.raises(ModelInvalid, match=r"unreasonable size|damaged"):
        unpack(tmp_path / "a", tmp_path / "out", LIMITS)


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_a_truncated_archive_is_rejected(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "whole", ("weights", os.urandom(50_000)))
    content = archive.read_bytes()
    for index, size in enumerate((5, 100, len(content) // 2, len(content) - 20)):
        (tmp_path / "cut").write_bytes(content[:size])
        with pytest.raises(ModelInvalid):
            unpack(tmp_path / "cut", tmp_path / f"out{index}", LIMITS)


@pytest.mark.parametrize("content", [b"", b"hello, I am a web page", b"BZh91AY", b"\xfd7zXZ"])
def test_other_files_are_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ModelInvalid, match=r"must be a \.tar\.gz or a \.zip"):
        unpack(tmp_path / "a", tmp_path / "out", LIMITS)


def test_an_encrypted_zip_is_rejected(tmp_path: Path) -> None:
    content = bytearray(zip_of(tmp_path / "a", ("x", b"secret")).read_bytes())
    content[6] |= 1  # the encryption flag in the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the central directory
    (tmp_path / "a").write_bytes(bytes(content))
    with pytest.raises(ModelInvalid, match="encrypted"):
        unpack(tmp_path / "a", tmp_path / "out", LIMITS)


@given(st.text(alphabet="ab./\\:\0\n \ud800é", max_size=12) | st.text(max_size=30))
def test_no_path_leads_out_of_the_target(name: str) -> None:
    target = "/packages/target"
    try:
        path = member_path(name)
    except ModelInvalid:
        return
    assert os.path.normpath(os.path.join(target, path)).startswith(target)
    assert "\0" not in str(path)


@given(st.binary(max_size=400), st.sampled_from([b"\x1f\x8b\x08\x00", b"PK\x03\x04", b""]))
def test_random_bytes_are_rejected_cleanly(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, start: bytes
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    (folder / "a").write_bytes(start + noise)
    with pytest.raises(ModelInvalid):
        unpack(folder / "a", folder / "out", LIMITS)
