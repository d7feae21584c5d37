"""The folder `operator/` must never hide the standard library's module of that name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_folder_operator_is_not_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_python_in_the_repository_imports_the_standard_operator_module() -> None:
    program = "import operator, collections; print(operator.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).parent != ROOT / "operator"
