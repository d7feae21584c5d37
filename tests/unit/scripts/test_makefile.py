"""The help of `make`, and its stamp files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def test_help_lists_every_target() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    done = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    listed = re.findall(r"^  (\S+) ", done.stdout, re.MULTILINE)
    assert listed == re.findall(r"^(\S+):.*## ", text, re.MULTILINE)


def test_an_interrupted_installation_of_torch_is_repeated(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "constraints.txt").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.created").touch()
    (tmp_path / ".venv/.torch-cpu").touch()
    program = tmp_path / "scripts/install-torch"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    command = ["make", "TORCH=cuda", ".venv/.torch-cuda"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode != 0
    assert [file.name for file in (tmp_path / ".venv").glob(".torch-*")] == []
