"""Generated files of the chart are up to date, and alerts, runbooks and dashboards are complete."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fixtures.chart import CHART

REPOSITORY = CHART.parents[1]
RUNBOOKS = REPOSITORY / "docs/runbooks"
ALERTS: list[dict[str, Any]] = [
    alert
    for path in sorted((CHART / "rules").glob("*.yaml"))
    for alert in yaml.safe_load(path.read_text())
]
ERRORS = "services/core/src/slipway_core/errors/__init__.py"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def test_the_schema_is_up_to_date() -> None:
    generator = runpy.run_path(str(REPOSITORY / "charts/values_schema.py"))
    assert (CHART / "values.schema.json").read_text() == generator["render"](), "run: make chart"


def test_the_readme_is_up_to_date(helm_docs: str, tmp_path: Path) -> None:
    copy = tmp_path / "slipway"
    shutil.copytree(CHART, copy)
    subprocess.run([helm_docs, "--chart-search-root", copy], check=True, capture_output=True)
    assert (copy / "README.md").read_text() == (CHART / "README.md").read_text(), "run: make chart"


@pytest.mark.parametrize(
    ("copy", "source"),
    [
        ("crds/modeldeployments.serving.slipway.dev.yaml",
         "manifests/crds/modeldeployments.serving.slipway.dev.yaml"),
        ("files/operator-role.yaml", "manifests/rbac/operator.yaml"),
        ("files/roles.sql", "services/core/src/slipway_core/store/schema/roles.sql"),
        ("files/grants.sql", "services/core/src/slipway_core/store/schema/grants.sql"),
    ],
)  # fmt: skip
def test_the_chart_has_the_current_crd_and_roles(copy: str, source: str) -> None:
    assert (CHART / copy).read_text() == (REPOSITORY / source).read_text(), "run: make chart"


def test_every_value_is_described() -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        found = []
        for key, value in schema.get("properties", {}).items():
            if "properties" in value:
                found += undescribed(value, f"{path}{key}.")
            elif not value.get("description") and key != "global":
                found.append(path + key)
        return found

    assert undescribed(json.loads((CHART / "values.schema.json").read_text()), "") == []


def test_alert_names_are_unique() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names)) >= 12


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_is_described_and_has_a_runbook(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert re.fullmatch(r"[0-9]+m", alert["for"])
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    page = (RUNBOOKS / f"{alert['alert']}.md").read_text()
    assert page.startswith(f"# {alert['alert']}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS


def test_every_runbook_belongs_to_an_alert() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in ALERTS}


def test_the_list_of_runbooks_contains_every_alert_with_its_severity() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|",
        (RUNBOOKS / "README.md").read_text(),
        re.MULTILINE,
    )
    assert all(name == page for name, page, _ in rows)
    listed = sorted((name, severity) for name, _, severity in rows)
    assert listed == sorted((alert["alert"], alert["labels"]["severity"]) for alert in ALERTS)


def test_commands_of_runbooks_show_all_lines_and_work_without_keda() -> None:
    for page in RUNBOOKS.glob("*.md"):
        for command in re.findall(r"^kubectl .+$", page.read_text(), re.MULTILINE):
            if "logs -l" in command:
                assert "--tail=-1" in command, (
                    "kubectl shows only ten lines of pods that are selected by label"
                )
            assert "scaledobject," not in command, "the command fails if KEDA is not installed"
            assert ",scaledobject" not in command, "the command fails if KEDA is not installed"


def test_alerts_and_dashboards_query_metrics_that_exist() -> None:
    declared: set[str] = set()
    for source in [
        *REPOSITORY.glob("services/*/src/**/*.py"),
        *REPOSITORY.glob("operator/src/**/*.py"),
    ]:
        for kind, name in re.findall(
            r'\b(Counter|Gauge|Histogram)\(\s*"(\w+)"', source.read_text()
        ):
            suffixes = {"Counter": ["_total"], "Gauge": [""]}.get(
                kind, ["_bucket", "_sum", "_count"]
            )
            declared.update(name + suffix for suffix in suffixes)
    text = "".join(
        path.read_text() for path in [*CHART.glob("rules/*"), *CHART.glob("dashboards/*")]
    )
    queried = set(re.findall(r"\b(?:slipway_\w+|prediction_(?:requests|latency)_\w+)", text))
    assert queried
    assert queried <= declared


def test_alerts_query_only_metrics_of_slipway() -> None:
    """Not every cluster has kube-state-metrics and the like."""
    grouping = re.compile(r"\b(?:by|on|without|ignoring|unless on) \([^)]*\)")
    for alert in ALERTS:
        expression = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", alert["expr"])
        words = set(re.findall(r"\b[a-z_]+\b(?!\s*\()", grouping.sub("", expression)))
        foreign = {word for word in words if not word.startswith(("slipway_", "prediction_"))}
        assert foreign <= {"and", "or", "unless", "up"}, alert["alert"]


def test_gauges_of_a_shared_queue_are_never_summed() -> None:
    shared = r"slipway_(?:batch_(?:queue_depth|chunks_(?:waiting|running)|oldest\w+)|dependency_up)"
    uses = 0
    for path in [*CHART.glob("rules/*"), *CHART.glob("dashboards/*")]:
        text = path.read_text()
        for use in re.finditer(shared, text):
            assert re.search(r"\bmax by \([^)]*\) \($", text[: use.start()]), (path, use)
            uses += 1
    assert uses >= 6


def test_alerts_query_error_codes_that_exist() -> None:
    known = set(re.findall(r"^class (\w+)", (REPOSITORY / ERRORS).read_text(), re.MULTILINE))
    named = re.findall(r'code=~?"([\w|]+)"', "".join(alert["expr"] for alert in ALERTS))
    assert named
    assert {code for codes in named for code in codes.split("|")} <= known


def test_dashboards_are_valid_and_use_the_selected_data_source() -> None:
    boards = [json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")]
    assert len(boards) == len({board["uid"] for board in boards}) == 3
    for board in boards:
        assert board["panels"], board["title"]
        for panel in board["panels"]:
            if panel["type"] != "row":
                assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
                assert all(target["expr"] for target in panel["targets"]), panel["title"]
