"""Alerts fire when they should, according to `promtool` of Prometheus."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fixtures.chart import CHART
from tests.fixtures.tiers import skip_or_fail

CASES = Path(__file__).with_name("alert_cases.yaml")
IMAGE = "quay.io/prometheus/prometheus"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Return a folder with the rules of the chart in one rule file, and the test cases."""
    groups: list[dict[str, Any]] = [
        {"name": path.stem, "rules": yaml.safe_load(path.read_text())}
        for path in sorted((CHART / "rules").glob("*.yaml"))
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    shutil.copy(CASES, tmp_path / "cases.yaml")
    return tmp_path


@pytest.fixture
def promtool(rules: Path) -> list[str]:
    """Return the command of promtool: from the PATH, or else from a local Docker image."""
    if found := shutil.which("promtool"):
        return [found]
    docker = shutil.which("docker")
    if docker is None or not (image := _image(docker)):
        skip_or_fail("alerts", f"needs promtool, or Docker with an image {IMAGE}")
    rules.chmod(0o755)
    mount = ["--volume", f"{rules}:/rules:ro", "--workdir", "/rules"]
    return [docker, "run", "--rm", "--network", "none", *mount, "--entrypoint", "promtool", image]


def _image(docker: str) -> str:
    done = subprocess.run(
        [docker, "images", "--format", "{{.Repository}}:{{.Tag}}", IMAGE],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return next(iter(done.stdout.split()), "")


@pytest.mark.parametrize(
    "arguments", [["check", "rules", "rules.yaml"], ["test", "rules", "cases.yaml"]]
)
def test_promtool_finds_no_problem(rules: Path, promtool: list[str], arguments: list[str]) -> None:
    done = subprocess.run(
        [*promtool, *arguments], cwd=rules, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
