"""Commands report errors before they submit anything, and the task_id before later ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.fixtures.prepared_service import ok, problem, serving
from typer.testing import CliRunner

from slipway_cli.local.servers.ports import find_free_port
from slipway_cli.main import app


@pytest.fixture
def inputs(tmp_path: Path) -> str:
    """Return the path of a file with one input."""
    file = tmp_path / "inputs.txt"
    file.write_text("one\n")
    return str(file)


def test_a_text_that_is_not_utf_8_is_rejected() -> None:
    for text, stdin in (("-", b"gr\xfc\xdf dich\n"), ("gr\udcfc\udcdf dich", b"")):
        done = CliRunner().invoke(app, ["predict", text], input=stdin)
        assert done.exit_code == 2
        assert done.stderr == "TEXT is not UTF-8: convert it, for example with iconv\n"


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["batch", "submit", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert "nowhere cannot be read: No such file" in done.stderr


@pytest.mark.parametrize("command", [["submit", "INPUTS"], ["results", "some-task"]])
@pytest.mark.parametrize(
    ("name", "why"), [("missing/results", "No such file or directory"), ("", "it is a folder")]
)
def test_an_unwritable_output_file_is_reported_before_any_request(
    tmp_path: Path, inputs: str, command: list[str], name: str, why: str
) -> None:
    arguments = [inputs if word == "INPUTS" else word for word in command]
    with serving() as service:
        done = CliRunner().invoke(
            app, ["batch", *arguments, "-f", str(tmp_path / name), "--url", service.url]
        )
    assert done.exit_code == 2
    assert f"{tmp_path / name} cannot be written: {why}" in done.stderr
    assert service.requests == []
    assert [file.name for file in tmp_path.iterdir()] == ["inputs.txt"]


def test_the_task_id_is_printed_before_later_errors(tmp_path: Path, inputs: str) -> None:
    accepted = ok({"task_id": "t-1", "status": "queued", "total": 1})
    gone = problem(404, "TaskNotFound", "there is no such job", [])
    options = ("-m", "text", "--output-file", str(tmp_path / "results"))
    with serving(accepted, gone) as service:
        done = CliRunner().invoke(app, ["batch", "submit", inputs, *options, "--url", service.url])
    assert done.exit_code == 3
    assert "its task_id is t-1\n" in done.stderr
    assert done.stdout == ""


def test_the_doctor_reports_an_invalid_setting_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_LOG_LEVEL", "loud")
    url = f"http://127.0.0.1:{find_free_port()}"
    done = CliRunner().invoke(app, ["doctor", "-o", "json", "--home", str(tmp_path), "--url", url])
    assert done.exit_code == 1
    (finding,) = json.loads(done.stdout)
    assert (finding["check"], finding["state"]) == ("settings", "fail")
    assert "SLIPWAY_LOG_LEVEL" in finding["message"]
