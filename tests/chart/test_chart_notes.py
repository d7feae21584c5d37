"""The notes that `helm install` prints show the next commands for the installed model."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.fixtures.chart import CHART

Notes = Callable[..., str]


AS_AN_OBJECT = """notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}"""


@pytest.fixture
def notes(helm: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Notes:
    """Render the notes, which `helm template` omits, as an object in a copy of the chart."""
    copy = tmp_path / "slipway"
    shutil.copytree(CHART, copy)
    (copy / "templates/notes.yaml").write_text(AS_AN_OBJECT)

    def render(*settings: str) -> str:
        values = [part for setting in settings for part in ("--set", setting)]
        where = ("--namespace", "models", "--show-only", "templates/notes.yaml")
        done = helm("template", "mine", copy, "--kube-version", "1.34", *where, *values)
        assert done.returncode == 0, done.stderr
        return str(yaml.safe_load(done.stdout)["notes"])

    return render


def commands(notes: str) -> list[str]:
    return re.findall(r"^   ((?:kubectl|helm|curl) .+)$", notes, re.MULTILINE)


def test_every_command_names_the_namespace_and_the_model(notes: Notes) -> None:
    printed = commands(notes())
    assert len(printed) == 6
    for command in printed:
        assert (
            command.startswith("curl ")
            or " -n models " in command
            or " namespace models " in command
        )
    assert "service/minilm 8000:80" in printed[2]
    assert printed[4] == "helm -n models test mine"


def test_the_model_is_that_of_helm_test(notes: Notes) -> None:
    text = notes("models.aaa.model.uri=package://x", "test.model=minilm")
    assert "modeldeployment/minilm" in text
    assert "aaa" not in text


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ([], ""),
        (["routing.provider=none"], ""),
        (["routing.externalUrl=http://h:8080"], "http://h:8080/predict/text"),
        (
            ["routing.externalUrl=http://h", "models.minilm.route.default=false"],
            "http://h/models/minilm/predict/text",
        ),
    ],
)
def test_the_external_url_is_shown_if_it_is_known(
    notes: Notes, settings: list[str], address: str
) -> None:
    found = re.search(r"through the ingress, at (\S+)", notes(*settings))
    assert (found[1] if found else "") == address


def test_without_a_model_they_show_how_to_serve_one(notes: Notes) -> None:
    text = notes("models.minilm=null", "postgresql.external.existingSecret=database")
    assert "--set models.minilm.model.uri=package://" in text
    assert "without backups" not in text
    assert "without backups" in notes()
