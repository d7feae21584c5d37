"""Batches while the clock of a server or a worker is wrong by a minute and a half."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from tests.fixtures.batch import WorkerProcesses
from tests.fixtures.models import write_python_package
from tests.fixtures.services import StartInference, wait_until
from tests.fixtures.tiers import skip_or_fail

from slipway_batch.settings import BatchSettings

pytestmark = pytest.mark.component
MAX_WAIT = timedelta(seconds=10)
# Without pauses, which the library does not support.
MODEL = """
from slipway_core.runtime import Model

class Lengths(Model):
    def predict(self, batch):
        return [{"length": len(value)} for value in batch]
"""
SKEWS = [("server", "+90"), ("server", "-90"), ("worker", "+90"), ("worker", "-90")]


@pytest.fixture
def libfaketime() -> str:
    """The library that shifts the clock of a process."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        skip_or_fail("faketime", "faketime is not installed")
    return str(found)


@pytest.mark.parametrize(("shifted", "seconds"), SKEWS)
def test_a_batch_starts_at_once_whichever_clock_is_wrong(
    shifted: str,
    seconds: str,
    libfaketime: str,
    tmp_path: Path,
    batch_settings: BatchSettings,
    start_inference: StartInference,
    workers: WorkerProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def set_clock(process: str) -> None:
        if process == shifted:
            monkeypatch.setenv("LD_PRELOAD", libfaketime)
            monkeypatch.setenv("FAKETIME", seconds)
            monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        else:
            monkeypatch.delenv("LD_PRELOAD", raising=False)

    set_clock("server")
    names = {"namespace", "deployment", "database_url", "redis_url"}
    stores = {
        name: value if isinstance(value, str) else value.get_secret_value()
        for name, value in batch_settings.model_dump(include=names).items()
    }
    workers.package = write_python_package(tmp_path / "model", MODEL, entrypoint="Lengths")
    server = start_inference(workers.package, **stores)
    set_clock("worker")
    worker = workers.start()
    wait_until(lambda: b'"ready"' in worker.log.read_bytes(), seconds=60, what="the worker")

    with httpx2.Client(base_url=server.url) as client:
        body = {"inputs": ["a", "bb"], "deadline_seconds": 60}
        job = client.post("/predict/text/batch", json=body).json()
        url = job["status_url"]
        wait_until(lambda: client.get(url).json()["finished_at"], seconds=120, what="the end")
        status = client.get(url).json()
    assert status["status"] == "succeeded"
    times = [datetime.fromisoformat(status[f"{name}_at"]) for name in ("created", "started")]
    assert times[1] - times[0] < MAX_WAIT
    assert datetime.fromisoformat(status["deadline"]) - times[0] == timedelta(seconds=60)
