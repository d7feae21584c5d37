"""The server conforms to its API document.

schemathesis sends requests that the document allows, and many that it does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures.models import EVERY_MODALITY, write_python_package
from tests.fixtures.services import StartInference

pytestmark = pytest.mark.component

SECONDS = 75
FIXTURES = Path(__file__).parents[1] / "fixtures"

EVERYTHING = """
from slipway_core.runtime import Model

class Everything(Model):
    def predict(self, batch):
        return [{"label": "a", "score": 0.5} for value in batch]
"""


@pytest.mark.timeout(300)
def test_the_server_conforms_to_its_api_document(
    tmp_path: Path, start_inference: StartInference, database_url: str, redis_url: str
) -> None:
    package = write_python_package(
        tmp_path / "package", EVERYTHING, entrypoint="Everything", modalities=EVERY_MODALITY
    )
    server = start_inference(package, database_url=database_url, redis_url=redis_url)
    finished = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={FIXTURES / 'schemathesis.toml'}",
            "run",
            f"{server.url}/openapi.json",
            f"--url={server.url}",
            "--max-examples=25",
            f"--max-time={SECONDS}",
            "--seed=1",
            "--request-timeout=20",
            "--no-color",
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(FIXTURES)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert finished.returncode == 0, _shortened(finished.stdout) + finished.stderr[-2_000:]
    assert [line for line in server.lines() if "exception" in line] == []


def _shortened(output: str) -> str:
    """Return the end of the output, without long request bodies."""
    return "\n".join(line[:400] for line in output.splitlines())[-12_000:]
