"""One cluster for all tests, whose files run in the order of their names.

KEEP_CLUSTER=1 uses an existing cluster and keeps it, for work on the tests.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from tests.fixtures.kind_cluster import KindCluster, require_tools

HERE = Path(__file__).parent
TEST_SECONDS = 600
FIRST_TEST_SECONDS = 1800
"""The first test creates the cluster and builds the images."""

CLUSTER = KindCluster("slipway-e2e")
FIGURES: dict[str, str] = {}


@pytest.fixture(scope="session")
def cluster() -> Iterator[KindCluster]:
    """Create a cluster with Slipway and the demo model, and wait until the model is ready."""
    require_tools()
    keep = os.environ.get("KEEP_CLUSTER") == "1"
    if not keep:
        CLUSTER.delete()
    try:
        CLUSTER.up()
        yield CLUSTER
    finally:
        if not keep:
            CLUSTER.delete()


@pytest.fixture
def figures() -> dict[str, str]:
    """Return the measurements, which are printed at the end of the run."""
    return FIGURES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the measurements."""
    if FIGURES:
        terminalreporter.section("figures")
        for name, figure in FIGURES.items():
            terminalreporter.line(f"{name}: {figure}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and extend their timeouts."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for number, item in enumerate(ours):
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(TEST_SECONDS if number else FIRST_TEST_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the state of the cluster to each failure."""
    report = yield
    if report.failed and call.when != "teardown" and CLUSTER.steps:
        report.sections.append(("cluster", CLUSTER.report()))
    return report
