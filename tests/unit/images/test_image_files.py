"""What the images are made from, without building them."""

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
    """The instructions of a stage of the Dockerfile."""
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


def test_each_member_that_brings_dependencies_is_listed() -> None:
    assert {member.partition("[")[0] for member in MEMBERS} == {
        "services/core",
        "services/inference",
        "operator",
    }


@pytest.mark.parametrize("member", MEMBERS)
def test_requirements_name_nothing_of_this_repository(member: str) -> None:
    found = requirements(member)
    assert found
    assert not [text for text in found if text.startswith("slipway")]


def test_the_batch_worker_needs_nothing_beyond_the_core() -> None:
    """Its image has no dependencies of its own: a new one would have to be installed there."""
    assert requirements("services/batch") == []


def test_the_operator_needs_neither_torch_nor_sql() -> None:
    names = {re.split(r"[^A-Za-z0-9_-]", text)[0].lower() for text in requirements("operator")}
    assert not names & {"torch", "sqlmodel", "sqlalchemy", "psycopg", "alembic", "redis", "arq"}


@pytest.mark.parametrize("name", FINAL)
def test_images_start_their_own_module_without_a_shell(name: str) -> None:
    assert f'ENTRYPOINT ["python", "-m", "slipway_{name}"]' in stage(name)
    assert "org.opencontainers.image.version" in stage(name)
    assert "RUN" not in stage(name), "a final stage is copied together, it builds nothing"


def test_images_run_as_an_unprivileged_user() -> None:
    assert "USER 65532:65532" in stage("runtime")
    assert "pip uninstall" in stage("runtime")


def test_skaffold_builds_and_sets_what_there_is() -> None:
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
        found: Any = values
        for part in key.split("."):
            found = found[part]


def test_the_development_entry_point_restarts_what_changed(tmp_path: Path) -> None:
    """The real thing in a folder of its own: a module that says which version of it runs."""
    said = tmp_path / "said"
    module = tmp_path / "slipway_sample.py"

    def write(version: str) -> None:
        module.write_text(
            f"import time\nopen({str(said)!r}, 'a').write('{version} ')\ntime.sleep(60)\n"
        )

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 30
        while not (said.exists() and said.read_text() == text):
            assert time.monotonic() < deadline, said.read_text() if said.exists() else "nothing"
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
        assert process.wait(30) != 0, "the service's own end is passed on"
    finally:
        process.kill()
        process.wait()
