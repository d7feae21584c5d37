"""`python -m slipway_inference`: its options, and errors in settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.fixtures.imports import imported_with

from slipway_inference.settings import InferenceSettings


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SLIPWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "slipway_inference", *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_all_settings_are_printed_without_secrets() -> None:
    shown = _run("--print-settings", SLIPWAY_DATABASE_URL="postgresql://u:secret@h/d")
    assert shown.returncode == 0
    assert "secret" not in shown.stdout
    for name, setting in InferenceSettings.model_fields.items():
        assert f"SLIPWAY_{name.upper()}=" in shown.stdout
        assert setting.description
        assert setting.description in shown.stdout


@pytest.mark.parametrize("scheme", ["https", "wrong"])
def test_secrets_in_the_model_uri_are_not_printed(scheme: str) -> None:
    address = f"{scheme}://me:hush@models.example.com/mine.zip?Signature=hush"
    shown = InferenceSettings(model_uri=address).describe()
    assert "hush" not in shown
    assert ("SLIPWAY_MODEL_URI=https://models.example.com/mine.zip  #" in shown) == (
        scheme == "https"
    )


def test_invalid_settings_are_named_in_the_error() -> None:
    failed = _run(SLIPWAY_PORT="high", SLIPWAY_ENGINES="0")
    assert failed.returncode == 2
    assert "SLIPWAY_PORT" in failed.stderr
    assert "SLIPWAY_ENGINES" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_server_starts_without_torch_and_drivers() -> None:
    heavy = ("torch", "tokenizers", "sqlalchemy", "psycopg", "arq")
    assert imported_with("slipway_inference.server", *heavy) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux closes a process to its own user")
@pytest.mark.parametrize("program", ["slipway_inference.server", "slipway_batch.worker"])
@pytest.mark.parametrize(("sandbox", "dumpable"), [("auto", 0), ("required", 0), ("off", 1)])
def test_other_processes_of_the_user_cannot_look_into_a_server(
    program: str, sandbox: str, dumpable: int
) -> None:
    # /proc/PID/environ, mem and fd of a process that is not dumpable are closed.
    source = f"""
import ctypes, importlib, sys
importlib.import_module("{program}").serve = lambda settings: 40 + ctypes.CDLL(None).prctl(3)
sys.argv = ["program"]
sys.exit(importlib.import_module("{program.partition(".")[0]}.__main__").main())
"""
    environment = {**os.environ, "SLIPWAY_SANDBOX": sandbox}
    ended = subprocess.run([sys.executable, "-c", source], env=environment, timeout=60, check=False)
    assert ended.returncode == 40 + dumpable
