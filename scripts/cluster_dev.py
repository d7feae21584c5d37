#!/usr/bin/env python3
"""Development loop on a kind cluster: apply local changes to the cluster within seconds.

It runs `make up` with the development images first. Then, until Ctrl-C, it copies changed Python
files into the pods that run them, which restart their process, and upgrades the release when the
chart changes. Changes of dependencies, the Dockerfile or the CRD need another `make dev`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = os.environ.get("CLUSTER", "slipway")
NAMESPACE = "slipway"
KUBECTL = ["kubectl", "--context", f"kind-{CLUSTER}", "--namespace", NAMESPACE]
HELM = ["helm", "--kube-context", f"kind-{CLUSTER}", "--namespace", NAMESPACE]
POLL_SECONDS = 0.5

SOURCES = {
    "services/core/src": ("inference", "batch"),
    "services/inference/src": ("inference",),
    "services/batch/src": ("batch",),
    "operator/src": ("operator",),
}
"""Source folders, and the components whose pods run them."""


def state() -> dict[Path, int]:
    """Return the modification time of each watched file, in nanoseconds."""
    sources = (path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    chart = (path for path in (ROOT / "charts/slipway").rglob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in (*sources, *chart)}


def pods(component: str) -> list[str]:
    """Return the names of the running pods of a component."""
    selector = f"app.kubernetes.io/part-of=slipway,app.kubernetes.io/component={component}"
    query = ["get", "pods", "--selector", selector, "--field-selector", "status.phase=Running"]
    done = subprocess.run(
        [*KUBECTL, *query, "--output", "name"], capture_output=True, text=True, check=False
    )
    return done.stdout.split()


def send(folder: Path, files: list[Path], pod: str) -> None:
    """Copy files of a source folder into a pod."""
    names = [str(path.relative_to(folder)) for path in files]
    archive = subprocess.run(
        ["tar", "--create", "--directory", folder, *names], capture_output=True, check=True
    )
    unpack = ["tar", "--extract", "--touch", "--no-same-owner", "--directory", "/tmp/sources"]
    done = subprocess.run(
        [*KUBECTL, "exec", "--stdin", pod, "--", *unpack],
        input=archive.stdout,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    outcome = (
        ", ".join(names)
        if done.returncode == 0
        else "failed: the pod is terminating, or does not run a development image"
    )
    print(f"{time.strftime('%T')} {pod}: {outcome}", flush=True)


def upgrade() -> None:
    """Upgrade the release to the current chart, and keep its values."""
    command = [
        *HELM,
        "upgrade",
        "slipway",
        str(ROOT / "charts/slipway"),
        "--reset-then-reuse-values",
    ]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    print(
        f"{time.strftime('%T')} chart: {'upgraded' if done.returncode == 0 else 'failed'}",
        flush=True,
    )


def react(changed: list[Path]) -> None:
    """Apply changed files to the cluster."""
    for name, components in SOURCES.items():
        folder = ROOT / name
        files = [path for path in changed if path.is_relative_to(folder) and path.exists()]
        if files:
            for component in components:
                for pod in pods(component):
                    send(folder, files, pod)
    if any(path.is_relative_to(ROOT / "charts") for path in changed):
        upgrade()


def main() -> None:
    """Run `make up`, then watch for changes until Ctrl-C."""
    environment = {**os.environ, "TARGET": "dev"}
    if subprocess.run([ROOT / "scripts/cluster-up"], env=environment, check=False).returncode:
        sys.exit(1)
    print(
        "\nwatching services/, operator/ and charts/slipway; Ctrl-C stops, and keeps the cluster",
        flush=True,
    )
    seen = state()
    while True:
        time.sleep(POLL_SECONDS)
        now = state()
        changed = [path for path in now.keys() | seen.keys() if now.get(path) != seen.get(path)]
        seen = now
        if changed:
            react(changed)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
