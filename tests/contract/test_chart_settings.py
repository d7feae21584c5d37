"""The chart and the operator agree on settings, port and probes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway_operator import http_port
from slipway_operator.configuration import OperatorSettings

PREFIX = "SLIPWAY_OPERATOR_"
NOT_IN_VALUES = {"concurrency", "discovery_seconds", "port", "resync_seconds"}
"""Settings that the chart leaves at their defaults."""


@pytest.fixture
def container(render: Callable[..., list[dict[str, Any]]], values_file: Path) -> dict[str, Any]:
    deployment = next(m for m in render("--values", values_file) if m["kind"] == "Deployment")
    result: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return result


def test_the_operator_reads_every_variable_that_the_chart_sets(
    container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {each["name"]: each["value"] for each in container["env"]}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    OperatorSettings()
    known = set(OperatorSettings.model_fields) - NOT_IN_VALUES
    assert {name.removeprefix(PREFIX).lower() for name in variables} == known


def test_probes_use_paths_that_the_operator_serves(container: dict[str, Any]) -> None:
    port = OperatorSettings.model_fields["port"].default
    assert container["ports"] == [{"name": "metrics", "containerPort": port}]
    paths = set(re.findall(r'web\.get\("(/\w+)"', Path(http_port.__file__).read_text()))
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in paths
