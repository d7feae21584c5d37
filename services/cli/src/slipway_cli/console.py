"""Output of commands: results on standard output, messages for people on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import typer

from slipway_cli import exit_codes
from slipway_cli.request_errors import RequestFailed, ServiceUnavailable


class Output(StrEnum):
    """Formats of results: `table` for people, `json` for programs."""

    TABLE = "table"
    JSON = "json"


def is_interactive() -> bool:
    """Return whether standard error is a terminal; only then are progress and hints shown."""
    return sys.stderr.isatty()


def write_result(text: str) -> None:
    """Write a line of the result and flush it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """Write the result as one line of JSON."""
    write_result(json.dumps(value, ensure_ascii=False))


def write_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """Write the result as aligned names and values."""
    rows = [(name, str(value)) for name, value in pairs]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        write_result(f"{name:<{width}}  {value}")


def write_hint(text: str) -> None:
    """Write a message to a terminal only."""
    if is_interactive():
        write_message(text)


def write_message(text: str) -> None:
    """Write an event, a warning or an error for people."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def exit_on_request_error() -> Iterator[None]:
    """Turn an error of the client within the block into messages and an exit code."""
    try:
        yield
    except RequestFailed as error:
        for line in error.lines():
            write_message(line)
        unavailable = isinstance(error, ServiceUnavailable)
        code = exit_codes.UNAVAILABLE if unavailable else exit_codes.REFUSED
        raise typer.Exit(code) from None
