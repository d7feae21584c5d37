"""Measure the speed and memory of the operator with many ModelDeployments and no nodes.

    KUBEBUILDER_ASSETS=... python -m tests.benchmarks.operator_scale [--count 1000]

Prints JSON: the time until every ModelDeployment has its objects and its status, the CPU time and
memory of the operator, the time until a change of one ModelDeployment has reached its Deployment,
and the cost of a restart when nothing has changed. The operator runs in its own process.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil
from tests.fixtures.apiserver import ADMIN_TOKEN, ApiServer, start_api_server
from tests.fixtures.modeldeployments import manifest

from slipway_operator.api.v1alpha1 import API_VERSION
from slipway_operator.generate.crd import build_crd

NAMESPACE = "default"
MODEL_DEPLOYMENTS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/modeldeployments"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MAX_WAIT_SECONDS = 900.0

Object = dict[str, Any]


class Api:
    """A client of the API server with the rights of an administrator."""

    def __init__(self, server: ApiServer) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        self._client = httpx2.Client(
            base_url=server.url, headers=headers, verify=False, timeout=60, trust_env=False
        )

    def create(self, path: str, body: Object) -> None:
        self._client.post(path, json=body).raise_for_status()

    def patch(self, path: str, body: Object) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        self._client.patch(path, content=json.dumps(body), headers=headers).raise_for_status()

    def get(self, path: str) -> Object:
        body: Object = self._client.get(path).raise_for_status().json()
        return body

    def items(self, path: str) -> list[Object]:
        items: list[Object] = self.get(path)["items"]
        return items


class Operator:
    """The operator in its own process, and its resource usage."""

    def __init__(self, server: ApiServer, log: Path) -> None:
        self.port = _free_port()
        environment = {
            **os.environ,
            "KUBECONFIG": str(server.kubeconfig),
            "SLIPWAY_OPERATOR_PORT": str(self.port),
            "SLIPWAY_OPERATOR_DATABASE_SECRET": "slipway-postgresql",
            "SLIPWAY_OPERATOR_REDIS_SECRET": "slipway-redis",
            "SLIPWAY_OPERATOR_REDIS_ADDRESS": "redis:6379",
            "SLIPWAY_OPERATOR_LOG_LEVEL": "warning",
        }
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "slipway_operator"], env=environment, stdout=out, stderr=out
            )
        self._usage = psutil.Process(self._process.pid)

    def cpu_seconds(self) -> float:
        times = self._usage.cpu_times()
        return float(times.user + times.system)

    def memory_mebibytes(self) -> int:
        return int(self._usage.memory_info().rss / 2**20)

    def metric(self, name: str) -> float:
        text = httpx2.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def is_up(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def measure(server: ApiServer, count: int) -> Object:
    """Measure and return all figures, in the order of measurement."""
    api = Api(server)
    api.create(CRDS, build_crd())
    _wait_until(lambda: _is_served(api), 30)
    for number in range(count):
        api.create(MODEL_DEPLOYMENTS, _model(number))
    operator = Operator(server, server.folder / "operator.log")
    try:
        figures: Object = {"modeldeployments": count, **_measure_start(api, operator, count)}
        figures["one_change_seconds"] = [_measure_change(api, count, round_) for round_ in range(5)]
        before, started = operator.cpu_seconds(), time.monotonic()
        _wait_until(lambda: time.monotonic() - started > 20, 30)
        idle = (operator.cpu_seconds() - before) / (time.monotonic() - started)
        figures["idle_cpu_percent"] = round(100 * idle, 1)
        figures["memory_mebibytes_settled"] = operator.memory_mebibytes()
    finally:
        operator.stop()
    return figures | _measure_restart(server, api)


def _measure_start(api: Api, operator: Operator, count: int) -> Object:
    started = time.monotonic()
    _wait_until(lambda: len([m for m in api.items(MODEL_DEPLOYMENTS) if "status" in m]) == count)
    seconds = time.monotonic() - started
    return {
        "all_reconciled_seconds": round(seconds, 1),
        "cpu_seconds": round(operator.cpu_seconds(), 1),
        "memory_mebibytes": operator.memory_mebibytes(),
        "objects": int(operator.metric("slipway_operator_managed_objects{")),
    }


def _measure_change(api: Api, count: int, round_: int) -> float:
    name = f"model-{(count // 2 + round_) % count:04}"
    replicas = 3 + round_
    started = time.monotonic()
    api.patch(f"{MODEL_DEPLOYMENTS}/{name}", {"spec": {"replicas": replicas}})
    _wait_until(lambda: api.get(f"{DEPLOYMENTS}/{name}")["spec"]["replicas"] == replicas)
    return round(time.monotonic() - started, 3)


def _measure_restart(server: ApiServer, api: Api) -> Object:
    """Measure a restart in the desired state, which needs no writes."""
    started = time.monotonic()
    operator = Operator(server, server.folder / "restarted.log")
    try:
        _wait_until(operator.is_up)
        name = "slipway_operator_reconcile_seconds_count"
        total = len(api.items(MODEL_DEPLOYMENTS))
        _wait_until(lambda: operator.metric(name) >= total)
        return {
            "restart_seconds": round(time.monotonic() - started, 1),
            "restart_cpu_seconds": round(operator.cpu_seconds(), 1),
            "restart_writes": int(operator.metric("slipway_operator_writes_total")),
        }
    finally:
        operator.stop()


def _model(number: int) -> Object:
    return manifest(f"model-{number:04}", NAMESPACE, batch={}, replicas=1)


def _is_served(api: Api) -> bool:
    try:
        api.get(MODEL_DEPLOYMENTS)
    except httpx2.HTTPError:
        return False
    return True


def _wait_until(condition: Callable[[], bool], seconds: float = MAX_WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition was not met within {seconds:g} s")
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1000)
    options = arguments.parse_args()
    server = start_api_server(Path(os.environ["KUBEBUILDER_ASSETS"]))
    try:
        figures = measure(server, options.count)
    finally:
        server.stop()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
