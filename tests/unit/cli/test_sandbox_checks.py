"""`slipway doctor` says whether models can be sandboxed."""

from __future__ import annotations

from typing import Any

import pytest

from slipway_cli import diagnosis
from slipway_cli.cluster.sandbox import find_sandbox
from slipway_cli.diagnosis import Installation, check_sandbox
from slipway_cli.local.home import Home
from slipway_core.settings import SandboxMode


def installation(mode: SandboxMode) -> Installation:
    return Installation(Home.choose(None), "http://127.0.0.1:1", "", "", False, mode)


def node(name: str, kernel: str, system: str = "linux") -> dict[str, Any]:
    info = {"kernelVersion": kernel, "operatingSystem": system}
    return {"metadata": {"name": name}, "status": {"nodeInfo": info}}


@pytest.mark.parametrize(
    ("mode", "abi", "state", "words"),
    [
        ("auto", 7, "ok", "Landlock (ABI 7)"),
        ("required", 1, "ok", "Landlock (ABI 1)"),
        ("auto", 0, "warn", "packages that run code are refused"),
        ("required", 0, "fail", "no model is served"),
        ("off", 7, "warn", "SLIPWAY_SANDBOX is off"),
    ],
)
def test_the_sandbox_of_this_machine(
    mode: SandboxMode, abi: int, state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "landlock_abi", lambda: abi)
    finding = check_sandbox(installation(mode))
    assert finding.state == state
    assert words in finding.message
    assert bool(finding.remedy) is (state != "ok")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("auto", "packages that run code are refused there"),
        ("required", "no model is served there"),
    ],
)
def test_nodes_without_landlock_are_named(mode: str, words: str) -> None:
    nodes = [node("old", "5.10.0-28-amd64"), node("new", "5.13.0"), node("w", "4.0", "windows")]
    finding = find_sandbox(nodes, mode, "")
    assert (finding.state, finding.check) == ("warn", "sandbox")
    assert finding.message == (
        f"mode {mode}; without Landlock: old (Linux 5.10.0-28-amd64); {words}"
    )


def test_the_first_of_many_old_nodes_are_named() -> None:
    message = find_sandbox([node(f"n{i}", "4.18.0") for i in range(7)], "auto", "").message
    assert "n4 (Linux 4.18.0) and 2 more; " in message


def test_new_nodes_and_unconfined_models_are_said() -> None:
    nodes = [node("a", "6.12.1"), node("b", "5.15.0-91-generic")]
    finding = find_sandbox(nodes, "auto", "models/x")
    assert finding.state == "ok"
    assert "without sandbox: models/x; Linux 5.15.0-91-generic or newer" in finding.message
    assert find_sandbox(nodes, "off", "").state == "warn"
    assert find_sandbox([], "auto", "").message == "the cluster has no nodes"
