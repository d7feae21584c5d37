"""`slipway batch`: durable batch jobs."""

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
from slipway_cli.client import FINAL_STATES, SlipwayClient
from slipway_cli.commands.predict import split_labels
from slipway_cli.console import Output, errors_in_words, hint, tell, write_json, write_pairs
from slipway_cli.job_progress import watch_job
from slipway_cli.shared_options import DEFAULT_URL, Format, Modality, Url

app = typer.Typer(help="Submit and follow durable batch jobs.", no_args_is_help=True)

TaskId = Annotated[str, typer.Argument(help="The job's task_id.")]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output-file", "-f", help="Write the results here, one JSON object per line."),
]


@app.command()
def submit(
    file: Annotated[
        str,
        typer.Argument(
            help="File of inputs, one per line: texts, rows or records as JSON, pictures in "
            "base64; - is standard input."
        ),
    ],
    modality: Annotated[
        Modality | None,
        typer.Option(
            "--modality",
            "-m",
            help="What the inputs are; default: what the model takes, text first.",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Wait for the end.")] = False,
    output_file: OutputFile = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", "-l", help="Classify: labels, separated by commas or repeated."),
    ] = None,
    line_format: Annotated[
        LineFormat, typer.Option("--format", help="What a line of the file is.")
    ] = LineFormat.AUTO,
    idempotency_key: Annotated[
        str, typer.Option(help="Submitting again under the same key gives the same job.")
    ] = "",
    deadline: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="What has not run after this time expires."),
    ] = None,
    webhook: Annotated[
        str, typer.Option(metavar="URL", help="Address that is told when the job has ended.")
    ] = "",
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
) -> None:
    """Submit a file as one job; with --watch or --output-file wait for its end.

    The exit code is 1 when the job ended with failed items.
    """
    _require_writable(output_file)
    with errors_in_words(), _input_errors(), SlipwayClient(url, say=tell) as client:
        with open_input(file, line_format) as inputs:
            accepted = client.submit(
                inputs.lines,
                modality=modality or _served_modality(client),
                labels=split_labels(labels),
                idempotency_key=idempotency_key,
                deadline_seconds=deadline,
                webhook_url=webhook,
            )
        task_id = accepted["task_id"]
        if not (watch or output_file):
            _show(accepted, output)
            hint(f"follow it with: slipway batch status {task_id} --watch")
            return
        # At once: without it nobody finds the results when the rest goes wrong.
        tell(f"the job is stored, its task_id is {task_id}")
        try:
            _follow(client, task_id, output_file, output)
        except KeyboardInterrupt:
            tell(f"the job goes on: slipway batch status {task_id} --watch")
            raise typer.Exit(exit_codes.INTERRUPTED) from None


@app.command()
def status(
    task_id: TaskId,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Wait for the end.")] = False,
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
) -> None:
    """Show how far a job is."""
    with errors_in_words(), SlipwayClient(url, say=tell) as client:
        if watch:
            _follow(client, task_id, None, output)
            return
        _show(_without_results(client.status(task_id)), output)


@app.command()
def results(task_id: TaskId, output_file: OutputFile = None, url: Url = DEFAULT_URL) -> None:
    """Write the results that there are, one JSON object per line."""
    _require_writable(output_file)
    with errors_in_words(), SlipwayClient(url, say=tell) as client:
        job = client.status(task_id)
        count = _write_results(client, task_id, output_file)
    if job["status"] not in FINAL_STATES:
        tell(f"the job is {job['status']}: these are {count} of {job['total']} results")


@app.command()
def cancel(task_id: TaskId, output: Format = Output.TABLE, url: Url = DEFAULT_URL) -> None:
    """Cancel what has not run yet; results that there are stay."""
    with errors_in_words(), SlipwayClient(url, say=tell) as client:
        _show(client.cancel(task_id), output)


def _served_modality(client: SlipwayClient) -> str:
    """Text where the model takes it, or the service does not say what it takes."""
    served = client.health().get("modalities") or [Modality.TEXT]
    return Modality.TEXT if Modality.TEXT in served else str(served[0])


def _follow(client: SlipwayClient, task_id: str, output_file: Path | None, output: Output) -> None:
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
    """Standard output, or a file that appears under its name when it is complete."""
    if path is None:
        yield sys.stdout
        return
    unfinished = _unfinished(path)
    with _output_errors(path, exit_codes.FAILED):
        with unfinished.open("w", encoding="utf-8") as file:
            yield file
        unfinished.replace(path)


def _require_writable(path: Path | None) -> None:
    """Refuse a file that cannot be written before there is a job whose results it must take."""
    if path is None:
        return
    with _output_errors(path, exit_codes.USAGE):
        if path.is_dir():
            raise OSError(errno.EISDIR, "it is a folder")
        unfinished = _unfinished(path)
        unfinished.touch()
        unfinished.unlink()


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


@contextmanager
def _output_errors(path: Path, exit_code: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        tell(f"--output-file: {path} cannot be written: {error.strerror}")
        raise typer.Exit(exit_code) from None


@contextmanager
def _input_errors() -> Iterator[None]:
    try:
        yield
    except UnreadableInput as error:
        tell(f"FILE: {error}")
        raise typer.Exit(exit_codes.USAGE) from None


def _without_results(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name not in ("results", "next")}


def _show(job: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        write_json(job)
    else:
        write_pairs((name, value) for name, value in job.items() if value is not None)
