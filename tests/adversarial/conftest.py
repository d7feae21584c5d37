"""Servers to attack, and a table of what the attacks cost them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.adversarial.report import write_table
from tests.adversarial.target import Target, running_target

Targets = Callable[[str], Target]


@pytest.fixture(scope="module")
def targets(
    tmp_path_factory: pytest.TempPathFactory, module_database_url: str, module_redis_url: str
) -> Iterator[Targets]:
    """Return the running server of a kind of model, which is started when it is first needed."""
    running: dict[str, Target] = {}
    folder = tmp_path_factory.mktemp("targets")
    with ExitStack() as stack:

        def target(kind: str) -> Target:
            if kind not in running:
                running[kind] = stack.enter_context(
                    running_target(kind, folder, module_database_url, module_redis_url)
                )
            return running[kind]

        yield target


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the worst cost by route."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if getattr(report, "when", "") == "call"
    ]
    costs = [
        value for report in reports for name, value in report.user_properties if name == "cost"
    ]
    if costs:
        terminalreporter.section("cost of attacks")
        for line in write_table(costs):
            terminalreporter.write_line(line)
