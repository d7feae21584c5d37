"""A service that dies is restarted with backoff; its log is bounded."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway_cli.local import log_file, service_process
from slipway_cli.local.log_file import LogFile
from slipway_cli.local.service_process import ServiceProcess


@pytest.fixture
def make_service(tmp_path: Path) -> Callable[[str], ServiceProcess]:
    def make(program: str) -> ServiceProcess:
        (tmp_path / "trial_service.py").write_text(program)
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return ServiceProcess("trial", ["trial_service"], environment, tmp_path)

    return make


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_is_imported_from_the_working_folder(
    make_service: Callable[[str], ServiceProcess],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "numpy.py").write_text("raise SystemExit('code of a model')")
    monkeypatch.chdir(folder)
    service = make_service("import numpy; numpy.ndarray")
    service.start()
    wait_until(lambda: service.exit_status is not None)
    assert service.exit_status == 0


def test_a_service_that_exits_is_restarted(
    make_service: Callable[[str], ServiceProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_process, "FIRST_BACKOFF_SECONDS", 0.01)
    service = make_service('import sys; sys.stderr.write("no luck\\n"); sys.exit(7)')
    service._backoff = 0.01
    messages: list[str] = []

    def supervise_and_collect() -> bool:
        message = service.supervise()
        messages.extend([message] if message else [])
        return len(messages) >= 4

    service.start()
    wait_until(supervise_and_collect)
    assert messages[0].startswith("trial ended (exit status 7): no luck [log: ")
    assert messages[0].endswith("starting it again in 0.01 s")
    assert messages[1] == "trial started again"
    assert messages[2].endswith("starting it again in 0.02 s")
    service.wait(10)


def test_a_killed_service_is_named_by_its_signal(
    make_service: Callable[[str], ServiceProcess],
) -> None:
    service = make_service("import time; time.sleep(60)")
    service.start()
    assert service.supervise() is None
    assert service._process is not None
    service._process.send_signal(signal.SIGKILL)
    wait_until(lambda: service.exit_status is not None)
    assert "killed by SIGKILL" in (service.supervise() or "")


def test_a_service_that_does_not_stop_is_killed(
    make_service: Callable[[str], ServiceProcess], tmp_path: Path
) -> None:
    service = make_service(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(60)"
    )
    service.start()
    log = tmp_path / "trial.log"
    wait_until(lambda: log.exists() and "deaf" in log.read_text())
    service.terminate()
    service.wait(0.1)
    assert service.exit_status == -signal.SIGKILL


def test_the_log_is_bounded_and_the_last_error_is_read_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(log_file, "READ_BYTES", 100)
    log = LogFile(tmp_path / "x.log")
    lines = [b'{"level": "info", "event": "fine"}\n'] * 300
    lines += [b'{"level": "error", "event": "no model", "cause": "it is broken"}\n', lines[0]]
    log.follow(io.BytesIO(b"".join(lines)))
    log.finish()
    assert log.last_error == "no model: it is broken"
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == ["x.log", "x.log.1", "x.log.2", "x.log.3"]
    assert all(file.stat().st_size < 1200 for file in tmp_path.iterdir())


def test_the_error_that_ends_a_service_takes_precedence_over_other_errors(tmp_path: Path) -> None:
    refused = (
        'Traceback (most recent call last):\n  File "x.py", line 1, in y\n    ask()\n'
        "UndefinedTable: there is no z\nLINE 1: SELECT 1 FROM z\n                      ^"
    )
    sweeping = {"level": "error", "event": "sweeping failed", "exception": refused}
    ending = {"level": "critical", "event": "no model", "cause": "it is broken"}

    def last_error(*events: dict[str, str]) -> str:
        log = LogFile(tmp_path / "x.log")
        log.follow(io.BytesIO(b"".join(json.dumps(event).encode() + b"\n" for event in events)))
        log.finish()
        return log.last_error

    waiting = {"level": "error", "event": "waits", "cause": "no connection\n\tIs it running?"}
    assert last_error(waiting) == "waits: no connection"
    assert last_error(sweeping) == "sweeping failed: UndefinedTable: there is no z"
    assert last_error(ending, sweeping) == "no model: it is broken"
