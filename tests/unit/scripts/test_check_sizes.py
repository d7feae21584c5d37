"""`scripts/check-sizes` reports files and functions that are too long, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
SOURCE = "services/core/src/slipway_core/thing.py"


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/check-sizes", root], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def function(lines: int, docstring_lines: int = 0) -> str:
    """Return a function of `lines` lines, including its signature, and an additional docstring."""
    docstring = '    """' + "text\n" * docstring_lines + '    """\n' if docstring_lines else ""
    return f"async def compute():\n{docstring}" + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(
    ("name", "limit"),
    [(SOURCE, 300), ("scripts/build", 300), ("tests/unit/core/test_thing.py", 500)],
)
def test_a_file_that_is_too_long_is_reported(tmp_path: Path, name: str, limit: int) -> None:
    write(tmp_path, name, "x = 1\n" * limit)
    assert check(tmp_path).returncode == 0
    write(tmp_path, name, "x = 1\n" * (limit + 1))
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stdout == (f"{name}: {limit + 1} lines, at most {limit}: split it by concept\n")


@pytest.mark.parametrize(("name", "limit"), [(SOURCE, 40), ("tests/unit/core/test_thing.py", 60)])
def test_a_function_that_is_too_long_is_reported(tmp_path: Path, name: str, limit: int) -> None:
    write(tmp_path, name, function(limit, docstring_lines=5))
    assert check(tmp_path).returncode == 0
    write(tmp_path, name, "import os\n\n" + function(limit + 1))
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stdout == (
        f"{name}:3: `compute` has {limit + 1} lines, at most {limit}: extract a function\n"
    )


def test_all_offenders_are_reported(tmp_path: Path) -> None:
    write(tmp_path, SOURCE, f"class Thing:\n    pass\n\n\n{function(41)}\n\n{function(300)}")
    done = check(tmp_path)
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [
        f"{SOURCE}:",
        f"{SOURCE}:5:",
        f"{SOURCE}:48:",
    ]


def test_scripts_without_a_suffix_are_parsed_when_python_runs_them(tmp_path: Path) -> None:
    write(tmp_path, "scripts/shell", "#!/bin/bash\nif true; then echo; fi\n")
    write(tmp_path, "scripts/python", f"#!/usr/bin/env python3\n{function(41)}")
    assert check(tmp_path).stdout.startswith("scripts/python:2: `compute`")


def test_other_files_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, "services/core/build/generated.py", "x = 1\n" * 400)
    write(tmp_path, "docs/page.md", "text\n" * 400)
    assert check(tmp_path).returncode == 0
