"""`scripts/cluster-up` never removes a cluster, with programs that only pretend to have one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
# After the first step it ends, because no image can be built.
PROGRAMS = {
    "docker": '[ "$1" != build ]',
    "kind": 'echo "kind $*" >> "$CALLS"; [ "$1" != get ] || echo slipway',
    "kubectl": 'echo asked >> "$CALLS"; [ "$(grep -c asked "$CALLS")" -ge "$ANSWERS_AT" ]',
    "helm": "exit 1",
    "curl": "exit 1",
    "sleep": "exit 0",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the programs that the script needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("answers_at", "said"),
    [
        ("3", "    it exists\n"),
        ("1000", "does not respond. To recreate it without its data: make down"),
    ],
)
def test_a_cluster_that_does_not_answer_is_waited_for(
    tmp_path: Path, programs: Path, answers_at: str, said: str
) -> None:
    calls = tmp_path / "calls"
    done = subprocess.run(
        ["scripts/cluster-up"],
        cwd=REPOSITORY,
        env={
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(calls),
            "ANSWERS_AT": answers_at,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    kind = {line for line in calls.read_text().splitlines() if line.startswith("kind")}
    assert kind == {"kind get clusters", "kind export kubeconfig --name slipway --quiet"}
