"""Archives at URLs are downloaded completely or not at all, despite failures of the network."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.model_server import ModelServer

from slipway_core.errors import (
    ModelAccessDenied,
    ModelDownloadFailed,
    ModelError,
    ModelIntegrityError,
    ModelInvalid,
    ModelNotFound,
)
from slipway_core.package.limits import Limits
from slipway_core.package.resolve import Package, resolve_package

MANIFEST = b"name: mine\nversion: '3'\ntask: python\nruntime: python\n"
QUICK = Limits(backoff_seconds=0.01, read_timeout_seconds=2, connect_timeout_seconds=2)
RESOLVE = """
import sys
from pathlib import Path
from slipway_core.package.resolve import resolve_package
package = resolve_package(sys.argv[1], sha256=sys.argv[2], cache=Path(sys.argv[3]))
print(package.folder)
"""


def archive(size: int = 300_000, extra: bytes = b"") -> bytes:
    """Return an archive of a package with about `size` bytes of random content."""
    content = io.BytesIO()
    files = {"slipway.yaml": MANIFEST + extra, "model.py": b"", "weights": os.urandom(size)}
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def server(model_server: ModelServer) -> ModelServer:
    """The server, with a package to serve."""
    model_server.content = archive()
    return model_server


def resolve(server: ModelServer, cache: Path, **more: Any) -> Package:
    return resolve_package(server.url, cache=cache, **{"limits": QUICK, **more})


def assert_clean(cache: Path) -> None:
    """Require that only complete packages and locks are left."""
    assert [path for path in (cache / "work").iterdir() if path.suffix != ".lock"] == []


def test_a_package_is_downloaded_once(server: ModelServer, cache: Path) -> None:
    expected = digest(server.content)
    first = resolve(server, cache, sha256=expected)
    second = resolve(server, cache, sha256=expected)

    assert first == second
    assert first.manifest.digest == expected
    assert (first.folder / "slipway.yaml").read_bytes() == MANIFEST
    assert server.requests == [""]
    assert_clean(cache)


@pytest.mark.parametrize("dates", [False, True])
def test_an_unpinned_package_is_revalidated(server: ModelServer, cache: Path, dates: bool) -> None:
    server.dates, server.etags = dates, not dates
    before = resolve(server, cache).manifest
    assert resolve(server, cache).manifest == before
    assert server.complete_responses == 1
    if dates:
        return

    server.content = archive(extra=b"description: new\n")
    assert resolve(server, cache).manifest.description == "new"
    assert resolve(server, cache).manifest.digest == digest(server.content)


def test_an_unpinned_package_is_served_from_the_cache_while_the_server_fails(
    server: ModelServer, cache: Path
) -> None:
    before = resolve(server, cache)
    server.failures = [503] * 20
    assert resolve(server, cache) == before


@pytest.mark.parametrize("pinned", [False, True])
def test_a_second_start_offline_sends_no_request(
    server: ModelServer, cache: Path, pinned: bool
) -> None:
    sha256 = digest(server.content) if pinned else ""
    with pytest.raises(
        ModelNotFound, match=r"fetch it with `python -m slipway_core\.package fetch`"
    ):
        resolve(server, cache, sha256=sha256, offline=True)
    assert server.requests == []
    before = resolve(server, cache, sha256=sha256)
    requests = list(server.requests)
    server.content = archive(extra=b"description: new\n")
    assert resolve(server, cache, sha256=sha256, offline=True) == before
    assert server.requests == requests


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/mine.zip", "s3://bucket/x", "hf://acme/mine"])
def test_a_second_start_without_a_pin_needs_no_network(
    server: ModelServer, cache: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """For any kind of source, an unreachable package comes from the cache without delay."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    before = resolve(server, cache)
    (known,) = (cache / "known").glob("*.json")
    known.rename(known.with_stem(hashlib.sha256(url.encode()).hexdigest()[:32]))
    # With a backoff of ten minutes, a second attempt would exceed the test's timeout.
    long_backoff = replace(QUICK, backoff_seconds=600)
    assert resolve_package(url, cache=cache, limits=long_backoff).folder == before.folder


@pytest.mark.parametrize("dates", [False, True])
def test_an_interrupted_download_is_resumed(server: ModelServer, cache: Path, dates: bool) -> None:
    server.dates, server.etags = dates, not dates
    server.cut_after = 20_000
    package = resolve(server, cache, sha256=digest(server.content))

    assert package.manifest.name == "mine"
    assert server.complete_responses == 1
    assert server.bytes_sent == len(server.content)
    assert len(server.requests) == -(-len(server.content) // 20_000)
    assert_clean(cache)


def test_a_download_without_ranges_is_restarted(server: ModelServer, cache: Path) -> None:
    server.ranges, server.failures = False, [500, 502, 503, 429]
    assert resolve(server, cache).manifest.name == "mine"

    server.content = archive()
    server.cut_after = 100_000
    with pytest.raises(ModelDownloadFailed, match="received 100000 bytes"):
        resolve(server, cache, sha256=digest(server.content))


def test_changed_content_is_not_appended_to_an_old_part(server: ModelServer, cache: Path) -> None:
    server.cut_after, server.failures = 100_000, []
    one_attempt = Limits(backoff_seconds=0.01, max_fruitless_attempts=1)
    server.ranges = False
    with pytest.raises(ModelDownloadFailed):
        resolve(server, cache, limits=one_attempt)

    server.content, server.cut_after, server.ranges = archive(), None, True
    package = resolve(server, cache, sha256=digest(server.content))

    assert package.manifest.name == "mine"
    assert server.requests[-1].startswith("bytes=100000-")  # sent, and rejected by If-Range


@pytest.mark.parametrize(
    ("status", "error", "attempts"),
    [
        (404, ModelNotFound, 1),
        (410, ModelNotFound, 1),
        (401, ModelAccessDenied, 1),
        (403, ModelAccessDenied, 1),
        (500, ModelDownloadFailed, 5),
        (503, ModelDownloadFailed, 5),
    ],
)
def test_statuses_are_distinguished(
    server: ModelServer, cache: Path, status: int, error: type[ModelError], attempts: int
) -> None:
    server.failures = [status] * 10
    with pytest.raises(error, match=f"answered {status}") as raised:
        resolve(server, cache)
    assert len(server.requests) == attempts
    assert raised.value.retryable == (attempts > 1)


def test_a_silent_server_causes_a_timeout(cache: Path) -> None:
    limits = Limits(backoff_seconds=0.01, read_timeout_seconds=0.2, max_fruitless_attempts=2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mine.zip"
        with pytest.raises(ModelDownloadFailed, match="ReadTimeout"):
            resolve_package(url, cache=cache, limits=limits)


def test_the_error_for_an_unreachable_server_names_it_without_credentials(cache: Path) -> None:
    limits = Limits(backoff_seconds=0.01, max_fruitless_attempts=2)
    with pytest.raises(ModelDownloadFailed, match=r"127\.0\.0\.1:1/x cannot be read: ConnectError"):
        resolve_package("http://user:word@127.0.0.1:1/x?sig=secret", cache=cache, limits=limits)


def test_a_download_that_takes_too_long_is_aborted(server: ModelServer, cache: Path) -> None:
    server.seconds_per_chunk = 0.1
    limits = Limits(backoff_seconds=0.01, total_timeout_seconds=0.3)
    with pytest.raises(ModelDownloadFailed, match=r"took over 0\.3 s"):
        resolve(server, cache, limits=limits)


def test_a_package_over_the_limit_is_rejected(server: ModelServer, cache: Path) -> None:
    with pytest.raises(ModelInvalid, match="larger than the 1000 bytes"):
        resolve(server, cache, limits=Limits(max_download_bytes=1000))
    assert server.bytes_sent < len(server.content)


def test_a_package_with_another_sha256_is_rejected_and_removed(
    server: ModelServer, cache: Path
) -> None:
    expected = "0" * 64
    with pytest.raises(ModelIntegrityError, match=digest(server.content)):
        resolve(server, cache, sha256=expected)
    assert_clean(cache)
    assert not (cache / "packages").exists()


def test_a_download_that_is_not_an_archive_is_rejected_and_removed(
    server: ModelServer, cache: Path
) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(ModelInvalid, match="not an archive"):
        resolve(server, cache)
    assert_clean(cache)


def test_user_and_password_of_the_url_are_sent(server: ModelServer, cache: Path) -> None:
    url = server.url.replace("http://", "http://user:word@")
    resolve_package(url, cache=cache, limits=QUICK)
    assert server.authorization == "Basic dXNlcjp3b3Jk"


def test_endless_redirects_are_an_error(server: ModelServer, cache: Path) -> None:
    server.redirect_to = server.url
    with pytest.raises(ModelDownloadFailed, match="TooManyRedirects"):
        resolve(server, cache, limits=Limits(backoff_seconds=0.01, max_fruitless_attempts=1))


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("socks5://127.0.0.1:{port}", "cannot be read: "),  # it speaks HTTP only
        ("socks5h://127.0.0.1:1", "cannot be read: ConnectError"),
        ("socks4://127.0.0.1:1", "set ALL_PROXY, HTTP_PROXY and HTTPS_PROXY to"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    server: ModelServer, cache: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, message: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.format(port=server.port))
    limits = replace(QUICK, max_fruitless_attempts=1, read_timeout_seconds=0.2)
    with pytest.raises(ModelDownloadFailed, match=message):
        resolve_package("http://models.example/mine.zip", cache=cache, limits=limits)


def test_the_error_for_an_unusable_cache_names_the_variable(
    server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelDownloadFailed, match="set SLIPWAY_MODEL_CACHE"):
        resolve(server, tmp_path / "file" / "cache")


# Several processes


def start(server: ModelServer, cache: Path, sha256: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RESOLVE, server.url, sha256, str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("pinned", [True, False])
def test_five_processes_share_one_download(server: ModelServer, cache: Path, pinned: bool) -> None:
    server.content = archive(2_000_000)
    server.seconds_per_chunk = 0.002
    processes = [start(server, cache, digest(server.content) if pinned else "") for _ in range(5)]
    folders = {process.communicate(timeout=90)[0].split()[-1] for process in processes}

    assert [process.returncode for process in processes] == [0] * 5
    assert len(folders) == 1
    assert server.complete_responses == 1
    assert server.bytes_sent == len(server.content)
    assert_clean(cache)


def test_a_killed_download_is_resumed_by_the_next_process(server: ModelServer, cache: Path) -> None:
    server.content = archive(3_000_000)
    server.seconds_per_chunk = 0.02
    expected = digest(server.content)
    for _ in range(3):
        process = start(server, cache, expected)
        reached = server.bytes_sent
        deadline = time.monotonic() + 60
        while server.bytes_sent < reached + 200_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        assert not (cache / "packages").exists()
    server.seconds_per_chunk = 0

    package = resolve(server, cache, sha256=expected)

    assert package.manifest.digest == expected
    assert server.requests[0] == ""
    assert all(each.startswith("bytes=") for each in server.requests[1:])
    assert server.complete_responses == 1
    assert_clean(cache)
