"""`python -m slipway_core.package fetch`, as an init container runs it."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

PACKAGE = {
    "slipway.yaml": "name: sample\nversion: '1'\ntask: python\nruntime: python\n",
    "model.py": "class Sample:\n    pass\n",
}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve an archive of a package over HTTP and yield its URL."""
    folder = tmp_path / "sample"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "sample.tar.gz", "w:gz") as archive:
        archive.add(folder, "sample")
    handler = partial(_Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/sample.tar.gz"
        server.shutdown()
        thread.join()


def fetch(cache: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "SLIPWAY_MODEL_CACHE": str(cache)}
    environment.update({f"SLIPWAY_{name.upper()}": value for name, value in settings.items()})
    return subprocess.run(
        [sys.executable, "-m", "slipway_core.package", "fetch"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    line: dict[str, str] = json.loads((done.stdout + done.stderr).splitlines()[-1])
    return line


def test_the_package_is_stored_in_the_cache(address: str, tmp_path: Path) -> None:
    done = fetch(tmp_path / "cache", model_uri=address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path(last_line(done)["folder"], "slipway.yaml").exists()
    assert tmp_path / "cache" in Path(last_line(done)["folder"]).parents


def test_other_contents_are_rejected_with_an_error_code(address: str, tmp_path: Path) -> None:
    done = fetch(tmp_path / "cache", model_uri=address, model_sha256="0" * 64)
    assert done.returncode == 1
    assert last_line(done)["code"] == "ModelIntegrityError"


def test_a_missing_package_is_reported(address: str, tmp_path: Path) -> None:
    done = fetch(tmp_path / "cache", model_uri=address.replace("sample", "gone"))
    assert done.returncode == 1
    assert last_line(done)["code"] == "ModelNotFound"
    assert "gone" in last_line(done)["cause"]


def test_an_invalid_setting_has_its_own_exit_status(tmp_path: Path) -> None:
    done = fetch(tmp_path / "cache", model_sha256="abc")
    assert done.returncode == 2
    assert "SLIPWAY_MODEL_SHA256" in done.stderr
