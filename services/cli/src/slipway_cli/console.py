"""What commands write: results on standard output, words for people on standard error."""

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
    """How results are shown: `table` for people, `json` for programs."""

    TABLE = "table"
    JSON = "json"


def is_interactive() -> bool:
    """Whether somebody watches standard error: only then are progress and hints shown."""
    return sys.stderr.isatty()


def write_result(text: str) -> None:
    """One line of the result, which whoever reads it gets at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """The result as one line of JSON."""
    write_result(json.dumps(value, ensure_ascii=False))


def write_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """The result as aligned names and values."""
    shown = [(name, str(value)) for name, value in pairs]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        write_result(f"{name:<{width}}  {value}")


def hint(text: str) -> None:
    """Words for somebody who watches; nothing when nobody does."""
    if is_interactive():
        tell(text)


def tell(text: str) -> None:
    """Words for people, whoever watches: what happened, warnings, errors."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn the client's errors into lines on standard error and an exit code."""
    try:
        yield
    except RequestFailed as error:
        for line in error.lines():
            tell(line)
        unavailable = isinstance(error, ServiceUnavailable)
        code = exit_codes.UNAVAILABLE if unavailable else exit_codes.REFUSED
        raise typer.Exit(code) from None
