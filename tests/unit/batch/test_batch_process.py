"""The batch worker as a process: settings and errors at start."""

from __future__ import annotations

import subprocess
import sys

from tests.fixtures.imports import imported_with


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slipway_batch", *arguments],
        env={f"SLIPWAY_{name.upper()}": value for name, value in settings.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_settings_are_printed_without_secrets() -> None:
    done = run("--print-settings", redis_url="redis://:hidden@127.0.0.1/0", lease_seconds="7")
    assert done.returncode == 0
    assert "SLIPWAY_LEASE_SECONDS=7" in done.stdout
    assert "SLIPWAY_BATCH_CHUNK_TOKENS=16384" in done.stdout
    assert "hidden" not in done.stdout


def test_an_invalid_setting_is_named_in_the_error() -> None:
    done = run("--print-settings", lease_seconds="soon")
    assert done.returncode == 2
    assert "SLIPWAY_LEASE_SECONDS" in done.stderr


def test_without_a_database_the_error_names_the_setting() -> None:
    done = run()
    assert done.returncode == 1
    assert "SLIPWAY_DATABASE_URL" in done.stderr


def test_without_a_queue_the_error_names_the_setting() -> None:
    done = run(database_url="postgresql://127.0.0.1:1/none")
    assert done.returncode == 1
    assert "SLIPWAY_REDIS_URL" in done.stderr


def test_the_worker_does_not_import_torch_or_sqlalchemy() -> None:
    heavy = ("torch", "tokenizers", "sqlalchemy", "alembic")
    assert imported_with("slipway_batch.worker", *heavy) == set()
