"""The `slipway` command against a running service: output, files, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.fixtures.imports import imported_with
from tests.fixtures.local_platform import RunningPlatform, run_slipway

from slipway_cli.local.servers.ports import find_free_port

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]


@pytest.fixture
def url(platform: RunningPlatform) -> dict[str, str]:
    """Environment variables with the URL of the service."""
    return {"SLIPWAY_URL": platform.url}


def test_predict_prints_a_table_or_json(url: dict[str, str]) -> None:
    table = run_slipway("predict", "A ship at sea.", environment=url)
    assert table.returncode == 0
    assert "(384 numbers; --output json shows all)" in table.stdout
    assert table.stderr == ""
    response = json.loads(
        run_slipway("predict", "-", "-o", "json", environment=url, stdin="A ship.").stdout
    )
    assert len(response["prediction"]["embedding"]) == 384


def test_predict_with_labels(url: dict[str, str]) -> None:
    for labels in (["-l", "sport,seafaring"], ["-l", "sport", "-l", "seafaring"]):
        done = run_slipway("predict", "A ship at sea.", *labels, "-o", "json", environment=url)
        prediction = json.loads(done.stdout)["prediction"]
        assert prediction["label"] == "seafaring"
        assert set(prediction["scores"]) == {"sport", "seafaring"}


def test_the_error_of_a_rejected_request_names_the_field(url: dict[str, str]) -> None:
    done = run_slipway("predict", "", environment=url)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "input_text" in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_an_unreachable_service_is_reported_without_a_traceback(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{find_free_port()}"
    done = run_slipway("batch", "status", "some-task", "--url", address)
    assert done.returncode == 4
    assert done.stderr.startswith(f"{address} cannot answer at the moment: trying again for up to")
    assert f"{address} cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_batch_from_a_file_to_a_file(url: dict[str, str], tmp_path: Path) -> None:
    inputs, results = tmp_path / "inputs.txt", tmp_path / "results.ndjson"
    inputs.write_text("first\nsecond\n\nthird\n")
    done = run_slipway(
        "batch", "submit", str(inputs), "--output-file", str(results), "-o", "json", environment=url
    )
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert (job["status"], job["total"], job["succeeded"]) == ("succeeded", 3, 3)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert all(len(row["prediction"]["embedding"]) == 384 for row in rows)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []

    again = run_slipway("batch", "results", job["task_id"], environment=url)
    assert again.stdout == results.read_text()


def test_a_batch_step_by_step(url: dict[str, str]) -> None:
    accepted = run_slipway(
        "batch", "submit", "-", "-o", "json", environment=url, stdin='"one"\n"two"\n'
    )
    task_id = json.loads(accepted.stdout)["task_id"]
    watched = run_slipway("batch", "status", task_id, "--watch", "-o", "json", environment=url)
    assert json.loads(watched.stdout)["status"] == "succeeded"
    table = run_slipway("batch", "status", task_id, environment=url)
    assert re.search(r"^succeeded +2$", table.stdout, re.MULTILINE)
    cancelled = run_slipway("batch", "cancel", task_id, "-o", "json", environment=url)
    assert json.loads(cancelled.stdout)["status"] == "succeeded"


def test_a_repeated_key_returns_the_same_job(url: dict[str, str]) -> None:
    def submit(lines: str) -> str:
        done = run_slipway(
            "batch", "submit", "-", "--idempotency-key", "k1", "-o", "json",
            environment=url, stdin=lines,
        )  # fmt: skip
        return done.stdout + done.stderr

    assert submit("a\n") != ""
    first, second = json.loads(submit("a\n")), json.loads(submit("a\n"))
    assert first["task_id"] == second["task_id"]
    assert "IdempotencyConflict" in submit("b\n")


@pytest.mark.parametrize(
    ("lines", "status", "message"),
    [
        ('"one"\n{"input_text": 5}\n', 3, "line 2"),
        ("\n", 2, "no line with an input"),
    ],
)
def test_an_invalid_file_is_rejected(
    url: dict[str, str], lines: str, status: int, message: str
) -> None:
    done = run_slipway("batch", "submit", "-", environment=url, stdin=lines)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_inputs_of_an_unsupported_modality_are_rejected(url: dict[str, str]) -> None:
    done = run_slipway("batch", "submit", "-", "-m", "tabular", environment=url, stdin="[1, 2]\n")
    assert done.returncode == 3
    assert "UnknownModality" in done.stderr


def test_an_unknown_task_is_reported(url: dict[str, str]) -> None:
    missing = "00000000-0000-7000-8000-000000000000"
    for command in ("status", "results", "cancel"):
        done = run_slipway("batch", command, missing, environment=url)
        assert done.returncode == 3
        assert "TaskNotFound" in done.stderr


def test_doctor_reports_problems_with_remedies(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{find_free_port()}"
    unreachable = {
        "SLIPWAY_DATABASE_URL": f"postgresql://user:hidden@127.0.0.1:{find_free_port()}/db",
        "SLIPWAY_REDIS_URL": f"redis://:hidden@127.0.0.1:{find_free_port()}/0",
    }
    done = run_slipway(
        "doctor", "--url", address, "--home", str(tmp_path), "-o", "json", environment=unreachable
    )
    assert done.returncode == 1
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert findings["python"]["state"] == findings["torch"]["state"] == "ok"
    assert findings["service"]["state"] == "warn"
    assert findings["database"]["state"] == findings["redis"]["state"] == "fail"
    assert all(finding["remedy"] for finding in findings.values() if finding["state"] != "ok")
    assert "hidden" not in done.stdout + done.stderr


def test_the_completion_script_is_printed() -> None:
    done = run_slipway("--show-completion", "bash")
    assert "slipway" in done.stdout


def test_the_command_imports_no_heavy_packages() -> None:
    heavy = ("torch", "sqlalchemy", "sqlmodel", "fastapi", "psycopg", "arq", "redis")
    assert imported_with("slipway_cli.main", *heavy) == set()
