"""The commands in the README and the quickstart work as shown there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.local_platform import RunningPlatform, run_slipway

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/quickstart.md")
BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# These would start the platform, which is running, or all tests. A second platform has its own
# test.
NOT_RUN = ("make ", "slipway local ")
SECOND_PLATFORM = "slipway local --model examples/{name} --home /tmp/slipway-examples --port 8001"
EXAMPLES = ("iris-mlp", "tiny-sentiment", "word-count")


def commands(page: str) -> list[tuple[str, str]]:
    """Return the shell commands of a page, each with the JSON shown after it, or an empty text."""
    result: list[tuple[str, str]] = []
    for kind, text in BLOCK.findall((ROOT / page).read_text()):
        if kind == "json":
            result[-1] = (result[-1][0], text)
        else:
            joined = text.replace("\\\n", " ")
            result += [(line, "") for line in joined.splitlines() if line.strip()]
    return result


@pytest.fixture
def shell(platform: RunningPlatform, tmp_path: Path) -> Callable[[str], str]:
    """A function that runs a command of a page in a folder with the files that it needs."""
    (tmp_path / "services").symlink_to(ROOT / "services")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    task_id = ""

    def run(command: str) -> str:
        nonlocal task_id
        command = command.replace("http://127.0.0.1:8000", platform.url)
        command = command.replace("TASK_ID", task_id)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "SLIPWAY_URL": platform.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        submitted = re.search(r'task_id\W+([0-9a-f-]{36})"?', done.stdout)
        task_id = submitted[1] if submitted else task_id
        return done.stdout

    return run


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_run(shell: Callable[[str], str], page: str) -> None:
    count = 0
    for command, expected in commands(page):
        if command.startswith(NOT_RUN) or command.strip().startswith("#"):
            continue
        output = shell(command)
        assert "urn:slipway:error" not in output, command
        if expected:
            assert shape(json.loads(output)) == shape(json.loads(expected))
        count += 1
    assert count >= 5


def test_a_second_platform_runs_next_to_the_first(
    platform: RunningPlatform, home_parent: Path
) -> None:
    """Run the quickstart's command with a free port and an unused home."""
    expected = SECOND_PLATFORM.format(name="iris-mlp")
    assert expected in [command for command, _ in commands("docs/quickstart.md")]
    model = str(ROOT / "examples" / "iris-mlp")
    second = RunningPlatform(home_parent / "second", "--model", model)
    second.start()
    try:
        assert platform.ready()
        (predict,) = re.findall(r"^ +(curl .*/predict/tabular .*)$", second.output, re.MULTILINE)
        predicted = subprocess.run(
            ["bash", "-c", predict], capture_output=True, text=True, check=True
        )
        assert json.loads(predicted.stdout)["prediction"]["rows"][0]["label"]
        rows = "[5.1, 3.5, 1.4, 0.2]\n" + json.dumps(
            {"sepal_length": 6.3, "sepal_width": 2.5, "petal_length": 5.0, "petal_width": 1.9}
        )
        submit = ("batch", "submit", "-", "--watch", "--deadline", "600", "-o", "json")
        done = run_slipway(*submit, "--url", second.url, stdin=rows)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["succeeded"] == 2
    finally:
        second.stop()


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_shows_the_command_of_the_quickstart(name: str) -> None:
    text = (ROOT / "examples" / name / "README.md").read_text()
    assert SECOND_PLATFORM.format(name=name) + "\n" in text


def test_the_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in (*PAGES, "CONTRIBUTING.md"):
        text = (ROOT / page).read_text()
        for target in re.findall(
            r"^make ([a-z0-9 -]+)|`make ([a-z0-9 -]+?)[ `]", text, re.MULTILINE
        ):
            words = " ".join(target).split()
            assert words[0] in targets, f"{page}: make {words[0]}"


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "SECURITY.md"])
def test_the_targets_of_links_exist(page: str) -> None:
    file = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (file.parent / target).exists(), f"{page}: {target}"


def shape(value: Any) -> Any:
    """Return the structure of a JSON value: members with their types."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return type(value).__name__
