"""`slipway demo`: start the whole platform from nothing, use it, check it and stop it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer

from slipway_cli import exit_codes
from slipway_cli.client import SlipwayClient
from slipway_cli.console import write_message, write_result
from slipway_cli.demo.checks import DemoFailed, check_results, cosine, metric_value, require
from slipway_cli.job_progress import watch_job
from slipway_cli.local.home import Home
from slipway_cli.local.platform import (
    LocalPlatform,
    PlatformOptions,
    ignore_interrupts,
    stop_on_signals,
)
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.ports import find_free_port
from slipway_cli.request_errors import RequestFailed
from slipway_core.errors import SlipwayError

SHIP = "The ship slides down into the water."
VESSEL = "A vessel is launched into the sea."
BANK = "The central bank raised its interest rates."
LOG_TIMEOUT_SECONDS = 20
"""Timeout for rows of the prediction log, which are written after the responses."""
LOG_LINES = 15
"""Last lines of each log that are shown after a failure."""


def demo() -> None:
    """Start the platform, predict, run a batch of 1,000 sentences, check the results, and stop."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="slipway-demo-"))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    stop_on_signals()
    platform = LocalPlatform(Home(folder), PlatformOptions(port=find_free_port()), write_message)
    try:
        _run(platform, Home(folder))
    except (DemoFailed, SlipwayError, RequestFailed) as error:
        write_message(f"the demo failed: {error}")
        _show_logs(folder / "logs")
        raise typer.Exit(exit_codes.FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    finally:
        ignore_interrupts()
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)
    write_result(
        f"\nAll checks passed, and everything is stopped again "
        f"({time.monotonic() - started:.0f} s). Next: make run"
    )


def _run(platform: LocalPlatform, home: Home) -> None:
    step = _Steps()
    step("Starting PostgreSQL, Valkey, an inference server and a batch worker")
    home.prepare(ServerAccount.choose())
    platform.start()
    with SlipwayClient(platform.options.url) as client:
        step(f"GET {client.url}/health")
        _check_health(client)
        step("POST /predict/text, five times")
        predictions = _check_realtime(client)
        step("POST /predict/text/batch with 1,000 English sentences")
        task_id = _check_batch(client)
        predictions += 1  # the batch is compared with one
        step("GET /predictions, the prediction log")
        _check_log(client, predictions)
        step("Counting the rows in PostgreSQL")
        _check_rows(home.read_service_secret("database_url"), task_id, predictions)
        step("GET /metrics")
        _check_metrics(client, predictions)
    step("Stopping everything")


class _Steps:
    """Prints numbered headings."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, title: str) -> None:
        self._number += 1
        write_result(f"\n{self._number}. {title}")


def _check_health(client: SlipwayClient) -> None:
    health = client.health()
    write_result(
        f"   {health['status']}: {health['model']} {health['version']}, "
        f"database {health['database']}, redis {health['redis']}"
    )
    require(health["status"] == "ok", f"the service is not healthy: {health.get('reasons')}")


def _check_realtime(client: SlipwayClient) -> int:
    """Return how many predictions were made."""
    responses = [client.predict_text(text) for text in (SHIP, VESSEL, BANK)]
    ship, vessel, bank = (response["prediction"]["embedding"] for response in responses)
    write_result(f"   '{SHIP}' became {len(ship)} numbers in {responses[0]['latency_ms']:.1f} ms")
    near, far = cosine(ship, vessel), cosine(ship, bank)
    write_result(f"   {near:.3f} similar to '{VESSEL}'")
    write_result(f"   {far:.3f} similar to '{BANK}'")
    require(near > far + 0.2, "a text about a ship must be nearer to ships than to banks")
    same = cosine(ship, client.predict_text(SHIP)["prediction"]["embedding"])
    require(same > 0.999, f"the same text twice gave two vectors, cosine {same:.6f}")
    labelled = client.predict_text(BANK, labels=["seafaring", "finance", "cooking"])
    label, score = labelled["prediction"]["label"], labelled["prediction"]["score"]
    write_result(f"   '{BANK}' is about {label} ({score:.2f})")
    require(label == "finance", "a text about a bank must be about finance")
    return 5


def _check_batch(client: SlipwayClient) -> str:
    """Return the task_id of the job."""
    sentences = (files("slipway_cli") / "data" / "sentences.txt").read_text("utf-8").splitlines()
    started = time.monotonic()
    job = client.submit(lambda: (json.dumps(text).encode() + b"\n" for text in sentences))
    write_result(f"   job {job['task_id']} is stored, {job['total']} inputs")
    progress = watch_job(client, job["task_id"])
    seconds = time.monotonic() - started
    require(progress["status"] == "succeeded", f"the job ended as {progress}")
    results = list(client.results(job["task_id"]))
    check_results(results, len(sentences))
    stored = client.status(job["task_id"])
    counts = (stored["total"], stored["succeeded"], stored["failed"])
    require(counts == (1000, 1000, 0), f"the job counts {counts} total, succeeded, failed")
    write_result(f"   {len(results)} results in {seconds:.1f} s, one for each input")
    alone = client.predict_text(sentences[0])["prediction"]["embedding"]
    same = cosine(alone, results[0]["prediction"]["embedding"])
    require(same > 0.999, f"a text has another vector in the batch, cosine {same:.6f}")
    write_result(f"   '{sentences[0]}'")
    write_result(f"   has the same vector alone and in the batch (cosine {same:.6f})")
    return str(job["task_id"])


def _check_log(client: SlipwayClient, predictions: int) -> None:
    deadline = time.monotonic() + LOG_TIMEOUT_SECONDS
    rows: list[dict[str, Any]] = []
    while len(rows) < predictions and time.monotonic() < deadline:
        time.sleep(0.1)
        rows = client.predictions(limit=100)["predictions"]
    write_result(f"   {len(rows)} rows, all of them {', '.join({row['status'] for row in rows})}")
    require(len(rows) == predictions, f"{predictions} predictions left {len(rows)} rows")
    require(all(row["status"] == "ok" for row in rows), "a row does not have the status ok")


def _check_rows(database_url: str, task_id: str, predictions: int) -> None:
    # Imported late: other commands start faster without the database driver.
    from slipway_cli.demo.stored_rows import StoredRows, count_stored_rows

    rows = count_stored_rows(database_url, task_id)
    write_result(f"   predictions: {rows.predictions}; batch_results of the job: {rows.results}")
    expected = StoredRows(predictions=predictions, results=1000)
    require(rows == expected, f"there must be {expected}")


def _check_metrics(client: SlipwayClient, predictions: int) -> None:
    text = client.metrics()
    samples = {
        'prediction_requests_total{modality="text",status="ok"}': metric_value(
            text, "prediction_requests_total", {"code": "", "modality": "text", "status": "ok"}
        ),
        'prediction_latency_seconds_count{modality="text"}': metric_value(
            text, "prediction_latency_seconds_count", {"modality": "text"}
        ),
    }
    for name, value in samples.items():
        write_result(f"   {name} {value:g}")
        require(value == predictions, f"{name} is {value:g} after {predictions} predictions")


def _show_logs(logs: Path) -> None:
    for file in sorted(logs.glob("*.log")):
        write_message(f"--- the end of {file.name}")
        lines = file.read_text(errors="replace").split("\n")
        write_message("\n".join(lines[-LOG_LINES:]))
