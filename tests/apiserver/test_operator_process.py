"""The operator as a process: start, shutdown, and exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import Kube, Operate, children

pytestmark = pytest.mark.apiserver

COMMAND = [sys.executable, "-m", "slipway_operator"]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "SLIPWAY_OPERATOR_PORT": "0", **more}


def test_sigterm_shuts_the_operator_down_cleanly(kube: Kube, free_port: int) -> None:
    variables = environment(
        KUBECONFIG=str(kube.server.operator_kubeconfig), SLIPWAY_OPERATOR_PORT=str(free_port)
    )

    def is_ready() -> bool:
        try:
            url = f"http://127.0.0.1:{free_port}/readyz"
            with urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    process = subprocess.Popen(COMMAND, env=variables, stderr=subprocess.PIPE, text=True)
    try:
        kube.wait_for(is_ready, seconds=30)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert all(line.startswith('{"message"') for line in log.splitlines())
    assert "cannot be served" not in log


def test_a_new_operator_completes_the_work_of_a_killed_one(
    kube: Kube, operate_with: Operate
) -> None:
    names = [f"model-{number}" for number in range(20)]
    deployments = {*names, *(f"{name}-batch" for name in names)}

    def created() -> set[str]:
        return {name for kind, name in children(kube) if kind == "Deployment"}

    kube.apply(*(manifest(name, kube.namespace, batch={}) for name in names))
    variables = environment(
        KUBECONFIG=str(kube.server.operator_kubeconfig),
        SLIPWAY_OPERATOR_CONCURRENCY="1",
        SLIPWAY_OPERATOR_DATABASE_SECRET="database",
        SLIPWAY_OPERATOR_REDIS_SECRET="queue",
    )
    process = subprocess.Popen(COMMAND, env=variables, stderr=subprocess.DEVNULL)
    try:
        kube.wait_for(created, seconds=60)
    finally:
        process.kill()
        process.wait()
    assert created() < deployments
    with operate_with():
        kube.wait_for(lambda: created() == deployments, seconds=60)
        kube.wait_for(lambda: all(kube.condition(name) for name in names), seconds=60)


@pytest.mark.parametrize(
    ("variables", "status", "words"),
    [
        ({"KUBECONFIG": "/nonexistent"}, 1, "there are no credentials for the API server"),
        ({"SLIPWAY_OPERATOR_ROUTING": "roads"}, 2, "SLIPWAY_OPERATOR_ROUTING: Input should be"),
    ],
)
def test_a_failed_start_is_explained_in_one_line(
    variables: dict[str, str], status: int, words: str
) -> None:
    done = subprocess.run(
        COMMAND,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unreachable_api_server_is_reported(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        """
apiVersion: v1
kind: Config
clusters: [{name: t, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: t, user: {token: x}}]
contexts: [{name: t, context: {cluster: t, user: t}}]
current-context: t
"""
    )
    done = subprocess.run(
        COMMAND,
        env=environment(KUBECONFIG=str(config)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "the API server does not answer" in done.stderr
