"""The Dockerfile, the requirements and the scripts of the images."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
DOCKERFILE = (REPOSITORY / "docker/Dockerfile").read_text()
MEMBERS = re.findall(r"requirements\.py '?([^' ]+)'? >", DOCKERFILE)
FINAL = ("inference", "batch", "operator")


def stage(name: str) -> str:
    """Return the instructions of a stage of the Dockerfile."""
    match = re.search(
        rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
    assert match, name
    return match[1]


def requirements(member: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "docker/requirements.py", member],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if line]


def test_all_members_with_dependencies_are_installed() -> None:
    assert {member.partition("[")[0] for member in MEMBERS} == {
        "services/core",
        "services/inference",
        "operator",
    }


@pytest.mark.parametrize("member", MEMBERS)
def test_requirements_contain_no_members(member: str) -> None:
    lines = requirements(member)
    assert lines
    assert not [line for line in lines if line.startswith("slipway")]


def test_the_batch_worker_has_no_dependencies_besides_the_core() -> None:
    """Its image does not install dependencies: a new one would need a stage."""
    assert requirements("services/batch") == []


def test_the_operator_needs_neither_torch_nor_sql() -> None:
    names = {re.split(r"[^A-Za-z0-9_-]", text)[0].lower() for text in requirements("operator")}
    assert not names & {"torch", "sqlmodel", "sqlalchemy", "psycopg", "alembic", "redis", "arq"}


@pytest.mark.parametrize("name", FINAL)
def test_images_start_their_own_module_without_a_shell(name: str) -> None:
    assert f'ENTRYPOINT ["python", "-m", "slipway_{name}"]' in stage(name)
    assert "org.opencontainers.image.version" in stage(name)
    assert "RUN" not in stage(name), "final stages must only copy files"


def test_images_run_as_an_unprivileged_user() -> None:
    assert "USER 65532:65532" in stage("runtime")
    assert "pip uninstall" in stage("runtime")


def test_skaffold_refers_to_existing_stages_files_and_values() -> None:
    skaffold = yaml.safe_load((REPOSITORY / "skaffold.yaml").read_text())
    values = yaml.safe_load((REPOSITORY / "charts/slipway/values.yaml").read_text())
    services = set()
    for artifact in skaffold["build"]["artifacts"]:
        stage(artifact["docker"]["target"])
        services.add(artifact["docker"]["buildArgs"]["SERVICE"])
        for rule in artifact["sync"]["manual"]:
            assert list(REPOSITORY.glob(rule["src"]))
            assert rule["src"].startswith(rule["strip"])
    assert services == set(FINAL)
    for key in skaffold["deploy"]["helm"]["releases"][0]["setValueTemplates"]:
        value: Any = values
        for part in key.split("."):
            value = value[part]


def test_the_development_entry_point_restarts_a_changed_service(tmp_path: Path) -> None:
    """It runs a module that logs its own version, in a folder of the test."""
    log = tmp_path / "log"
    module = tmp_path / "slipway_sample.py"

    def write(version: str) -> None:
        module.write_text(
            f"import time\nopen({str(log)!r}, 'a').write('{version} ')\ntime.sleep(60)\n"
        )

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 30
        while not (log.exists() and log.read_text() == text):
            assert time.monotonic() < deadline, log.read_text() if log.exists() else "nothing"
            time.sleep(0.05)

    write("one")
    source = (REPOSITORY / "docker/reload.py").read_text()
    reload = tmp_path / "reload.py"
    reload.write_text(source.replace('Path("/tmp/sources")', f"Path({str(tmp_path)!r})"))
    environment = {
        "SLIPWAY_DEV_MODULE": "slipway_sample",
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",  # as in the images
    }
    process = subprocess.Popen([sys.executable, "-S", str(reload)], env=environment)
    try:
        wait_for("one ")
        write("two")
        wait_for("one two ")
        process.terminate()
        assert process.wait(30) != 0, "the exit status of the service is returned"
    finally:
        process.kill()
        process.wait()
