"""`slipway batch`: submit and follow durable batch jobs."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from slipway_cli import exit_codes
from slipway_cli.batch_input import LineFormat, UnreadableInput, open_input
from slipway_cli.client import SlipwayClient
from slipway_cli.console import (
    Output,
    exit_on_request_error,
    write_hint,
    write_json,
    write_message,
    write_pairs,
)
from slipway_cli.job_progress import watch_job
from slipway_cli.shared_options import DEFAULT_URL, Format, Labels, Modality, Url, split_labels
from slipway_core.store.states import FINAL_JOB_STATES

app = typer.Typer(help="Submit and follow durable batch jobs.", no_args_is_help=True)

TaskId = Annotated[str, typer.Argument(help="The task_id of the job.")]
InputFile = Annotated[
    str,
    typer.Argument(
        help="File of inputs, one per line: texts, rows or records as JSON, images in base64; "
        "- is standard input."
    ),
]
InputModality = Annotated[
    Modality | None,
    typer.Option(
        "--modality",
        "-m",
        help="Kind of the inputs; default: text if the model takes it, else its first kind.",
    ),
]
InputFormat = Annotated[LineFormat, typer.Option("--format", help="Format of the lines.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Wait for the end of the job.")]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output-file", "-f", help="Write the results to this file, one JSON object per line."
    ),
]
IdempotencyKey = Annotated[
    str, typer.Option(help="Submitting again with the same key returns the same job.")
]
Deadline = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Time after which inputs that have not run expire."),
]
Webhook = Annotated[str, typer.Option(metavar="URL", help="Address to call after the job ended.")]


@app.command()
def submit(
    file: InputFile,
    modality: InputModality = None,
    watch: Watch = False,
    output_file: OutputFile = None,
    labels: Labels = None,
    line_format: InputFormat = LineFormat.AUTO,
    idempotency_key: IdempotencyKey = "",
    deadline: Deadline = None,
    webhook: Webhook = "",
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
) -> None:
    """Submit a file as one job; with --watch or --output-file, wait for its end.

    The exit code is 1 when the job ended with failed items.
    """
    _require_writable(output_file)
    with exit_on_request_error(), SlipwayClient(url, on_retry=write_message) as client:
        with _exit_on_input_error(), open_input(file, line_format) as inputs:
            job = client.submit(
                inputs.lines,
                modality=modality or _default_modality(client),
                labels=split_labels(labels),
                idempotency_key=idempotency_key,
                deadline_seconds=deadline,
                webhook_url=webhook,
            )
        if watch or output_file:
            _follow_submitted(client, job["task_id"], output_file, output)
        else:
            _show(job, output)
            write_hint(f"follow it with: slipway batch status {job['task_id']} --watch")


@app.command()
def status(
    task_id: TaskId, watch: Watch = False, output: Format = Output.TABLE, url: Url = DEFAULT_URL
) -> None:
    """Show the progress of a job."""
    with exit_on_request_error(), SlipwayClient(url, on_retry=write_message) as client:
        if watch:
            _follow(client, task_id, None, output)
            return
        _show(_without_results(client.status(task_id)), output)


@app.command()
def results(task_id: TaskId, output_file: OutputFile = None, url: Url = DEFAULT_URL) -> None:
    """Write the results so far, one JSON object per line."""
    _require_writable(output_file)
    with exit_on_request_error(), SlipwayClient(url, on_retry=write_message) as client:
        job = client.status(task_id)
        count = _write_results(client, task_id, output_file)
    if job["status"] not in FINAL_JOB_STATES:
        write_message(f"the job is {job['status']}: these are {count} of {job['total']} results")


@app.command()
def cancel(task_id: TaskId, output: Format = Output.TABLE, url: Url = DEFAULT_URL) -> None:
    """Cancel the inputs that have not run yet; existing results are kept."""
    with exit_on_request_error(), SlipwayClient(url, on_retry=write_message) as client:
        _show(client.cancel(task_id), output)


@app.command()
def retry(
    task_id: TaskId,
    watch: Watch = False,
    output_file: OutputFile = None,
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
) -> None:
    """Compute the failed inputs of a job again; existing results are kept."""
    _require_writable(output_file)
    with exit_on_request_error(), SlipwayClient(url, on_retry=write_message) as client:
        job = client.retry(task_id)
        if watch or output_file:
            _follow(client, task_id, output_file, output)
        else:
            _show(job, output)


def _default_modality(client: SlipwayClient) -> str:
    """Return text if the model takes it or /health does not list modalities, else the first."""
    served = client.health().get("modalities") or [Modality.TEXT]
    return Modality.TEXT if Modality.TEXT in served else str(served[0])


def _follow_submitted(
    client: SlipwayClient, task_id: str, output_file: Path | None, output: Output
) -> None:
    # Shown first: after a later error the results can only be found by it.
    write_message(f"the job is stored, its task_id is {task_id}")
    try:
        _follow(client, task_id, output_file, output)
    except KeyboardInterrupt:
        write_message(f"the job goes on: slipway batch status {task_id} --watch")
        raise typer.Exit(exit_codes.INTERRUPTED) from None


def _follow(client: SlipwayClient, task_id: str, output_file: Path | None, output: Output) -> None:
    """Wait for the end of a job, write its results and show it."""
    watch_job(client, task_id)
    job = _without_results(client.status(task_id))
    if output_file is not None:
        _write_results(client, task_id, output_file)
        job["results_file"] = str(output_file)
    _show(job, output)
    if job["status"] != "succeeded":
        raise typer.Exit(exit_codes.FAILED)


def _write_results(client: SlipwayClient, task_id: str, output_file: Path | None) -> int:
    count = 0
    with _open_output(output_file) as file:
        for result in client.results(task_id):
            file.write(json.dumps(result, ensure_ascii=False) + "\n")
            count += 1
    return count


@contextmanager
def _open_output(path: Path | None) -> Iterator[IO[str]]:
    """Open standard output, or a file that gets its name when it is complete."""
    if path is None:
        yield sys.stdout
        return
    unfinished = _unfinished(path)
    with _exit_on_output_error(path, exit_codes.FAILED):
        with unfinished.open("w", encoding="utf-8") as file:
            yield file
        unfinished.replace(path)


def _require_writable(path: Path | None) -> None:
    """Exit when the output file cannot be written, before a job is submitted for it."""
    if path is None:
        return
    with _exit_on_output_error(path, exit_codes.USAGE):
        if path.is_dir():
            raise OSError(errno.EISDIR, "it is a folder")
        unfinished = _unfinished(path)
        unfinished.touch()
        unfinished.unlink()


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


@contextmanager
def _exit_on_output_error(path: Path, exit_code: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        write_message(f"--output-file: {path} cannot be written: {error.strerror}")
        raise typer.Exit(exit_code) from None


@contextmanager
def _exit_on_input_error() -> Iterator[None]:
    try:
        yield
    except UnreadableInput as error:
        write_message(f"FILE: {error}")
        raise typer.Exit(exit_codes.USAGE) from None


def _without_results(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name not in ("results", "next")}


def _show(job: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        write_json(job)
    else:
        write_pairs((name, value) for name, value in job.items() if value is not None)
