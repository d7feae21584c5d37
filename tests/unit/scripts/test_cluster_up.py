"""`scripts/cluster-up` never deletes a cluster. The programs that it calls are stand-ins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
# The script stops when the cluster exists, because building images fails.
PROGRAMS = {
    "docker": '[ "$1" != build ]',
    "kind": 'echo "kind $*" >> "$CALLS"; [ "$1" != get ] || echo slipway',
    "kubectl": 'echo request >> "$CALLS"; [ "$(grep -c request "$CALLS")" -ge "$RESPONDS_AT" ]',
    "helm": "exit 1",
    "curl": "exit 1",
    "sleep": "exit 0",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder with stand-ins for the programs that the script needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("responds_at", "message"),
    [
        ("3", "    it exists\n"),
        ("1000", "does not respond. To recreate it without its data: make down"),
    ],
)
def test_an_unresponsive_cluster_is_waited_for_and_kept(
    tmp_path: Path, programs: Path, responds_at: str, message: str
) -> None:
    calls = tmp_path / "calls"
    done = subprocess.run(
        ["scripts/cluster-up"],
        cwd=REPOSITORY,
        env={
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(calls),
            "RESPONDS_AT": responds_at,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    kind = {line for line in calls.read_text().splitlines() if line.startswith("kind")}
    assert kind == {"kind get clusters", "kind export kubeconfig --name slipway --quiet"}
