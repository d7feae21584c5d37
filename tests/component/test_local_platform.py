"""`slipway local` starts, shows example commands, restarts dead processes, and keeps the data."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import httpx2
import psutil
import psycopg
import pytest
from tests.fixtures.local_platform import RunningPlatform, run_slipway, wait_until

from slipway_cli.local.home import Home

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]


@pytest.fixture
def running(platform: RunningPlatform) -> RunningPlatform:
    if platform.process is None or platform.process.poll() is not None:
        platform.start()
    wait_until(platform.ready, "a ready platform")
    return platform


def predict(running: RunningPlatform, text: str) -> dict[str, object]:
    done = run_slipway("predict", text, "-o", "json", "--url", running.url)
    assert done.returncode == 0, done.stderr
    response: dict[str, object] = json.loads(done.stdout)
    return response


def run_batch(running: RunningPlatform) -> None:
    done = run_slipway(
        "batch", "submit", "-", "--watch", "-o", "json", "--url", running.url, stdin="one\ntwo\n"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["succeeded"] == 2


def test_the_example_commands_of_the_greeting_work(running: RunningPlatform) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    lines = [line.strip() for line in running.output.splitlines() if line.strip()[:4] == "curl"]
    assert len(lines) == 3

    def run(line: str) -> dict[str, object]:
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        response: dict[str, object] = json.loads(done.stdout)
        return response

    assert "embedding" in str(run(lines[0])["prediction"])
    task_id = str(run(lines[1])["task_id"])
    status = lines[2].replace("TASK_ID", task_id)
    wait_until(lambda: run(status)["status"] == "succeeded", "the end of the job")


def test_a_second_platform_on_the_same_home_is_rejected(running: RunningPlatform) -> None:
    assert running.process is not None
    done = run_slipway("local", "--home", str(running.home), "--port", str(running.port))
    assert done.returncode == 1
    expected = f"already runs on {running.home} (process {running.process.pid} at {running.url})"
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use_is_rejected(home_parent: Path) -> None:
    with socket.socket() as occupier:
        occupier.bind(("127.0.0.1", 0))
        occupier.listen()
        port = str(occupier.getsockname()[1])
        done = run_slipway("local", "--home", str(home_parent / "other"), "--port", port)
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr


def test_a_missing_model_is_rejected(home_parent: Path) -> None:
    home = home_parent / "rejected"
    done = run_slipway("local", "--home", str(home), "--model", "/no/model")
    assert done.returncode == 1
    assert "--model: there is no folder or archive /no/model" in done.stderr
    assert not (home / "postgres").exists(), "it started although it has no model"


def test_an_invalid_model_is_reported_without_a_traceback(home_parent: Path) -> None:
    empty = home_parent / "empty-model"
    empty.mkdir()
    port = str(RunningPlatform(home_parent).port)
    done = run_slipway(
        "local", "--home", str(home_parent / "other"), "--port", port, "--model", str(empty)
    )
    assert done.returncode == 1
    assert "slipway.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("slipway_inference", "inference"),
        ("slipway_batch", "batch-1"),
        ("bin/postgres", "PostgreSQL"),
        ("valkey-server", "Valkey"),
    ],
)
def test_a_dead_process_is_started_again(running: RunningPlatform, words: str, name: str) -> None:
    wait_until(
        lambda: (
            "slipway_batch" in " ".join(" ".join(child.cmdline()) for child in children(running))
        ),
        "a batch worker",
    )
    child = running.find_child(words)
    start = len(running.output)
    child.kill()
    wait_until(lambda: f"{name} started again" in running.output[start:], f"a new {name}")
    wait_until(running.ready, "a ready platform")
    predict(running, "after the crash")
    run_batch(running)
    health = run_slipway("doctor", "--home", str(running.home), "--url", running.url)
    assert health.returncode == 0, health.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_processes_and_keeps_the_data(
    running: RunningPlatform, number: signal.Signals
) -> None:
    predict(running, f"remember {number.name}")
    wait_until(
        lambda: number.name in str(get_json(running, "/predictions")), "a row of the prediction"
    )
    before = children(running)
    assert len(before) >= 4
    assert running.stop(number) == 0
    assert f"the data is kept in {running.home}" in running.output
    _, alive = psutil.wait_procs(before, timeout=1)
    assert alive == []
    running.start()
    assert "Newest of the earlier predictions" in running.output
    assert f"remember {number.name}" in running.output


def test_the_platform_starts_again_after_its_supervisor_was_killed(
    running: RunningPlatform,
) -> None:
    before = children(running)
    running.stop(signal.SIGKILL)
    if shutil.which("setpriv"):
        # Servers first finish accepted requests, and give up waiting for a lost database.
        _, alive = psutil.wait_procs(before, timeout=90)
        assert alive == []
    running.start()
    run_batch(running)


def test_secrets_do_not_appear_in_output_arguments_environment_or_logs(
    running: RunningPlatform,
) -> None:
    secrets = [
        file.read_text().strip() for file in (running.home / "secrets").iterdir() if file.is_file()
    ]
    assert len(secrets) == 5, "the queue and four roles of the database"
    visible = running.output
    for child in children(running):
        visible += " ".join(child.cmdline()) + str(child.environ())
    for log in (running.home / "logs").iterdir():
        visible += log.read_text(errors="replace")
    for secret in secrets:
        assert secret not in visible


def test_a_database_without_tables_is_migrated_before_it_is_used(running: RunningPlatform) -> None:
    # The state after a start that was interrupted before the migration.
    owner_url = Home(running.home).migration_secrets / "slipway_database_url"
    with psycopg.connect(owner_url.read_text()) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    assert running.stop() == 0
    log = running.home / "logs" / "inference.log"
    before = log.stat().st_size
    running.start()
    assert predict(running, "the first")["id"]
    wait_until(
        lambda: "the first" in str(get_json(running, "/predictions")), "a row of the prediction"
    )
    lines = [json.loads(line) for line in log.read_bytes()[before:].splitlines()]
    assert {line["level"] for line in lines} == {"info"}, lines


def children(running: RunningPlatform) -> list[psutil.Process]:
    assert running.process is not None
    return [
        child
        for child in psutil.Process(running.process.pid).children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def get_json(running: RunningPlatform, path: str) -> object:
    return httpx2.get(running.url + path, timeout=10, trust_env=False).json()
