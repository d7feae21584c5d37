"""Inputs of a batch job from a file or standard input, as NDJSON lines, in flat memory."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO

LONGEST_LINE_BYTES = 8 * 1024 * 1024


class LineFormat(StrEnum):
    """What a line of the file is: `ndjson`: JSON; `lines`: plain text; `auto` looks."""

    AUTO = "auto"
    NDJSON = "ndjson"
    LINES = "lines"


class UnreadableInput(Exception):
    """The file cannot be read, or a line of it is not what it should be."""


class BatchInput:
    """A file of inputs that can be read several times; empty lines are skipped."""

    def __init__(self, path: Path, line_format: LineFormat) -> None:
        self._path = path
        if line_format is LineFormat.AUTO:
            line_format = self._look()
        self.line_format = line_format

    def lines(self) -> Iterator[bytes]:
        """Each input as a line of JSON, with its line break. Raises UnreadableInput."""
        with self._open() as file:
            for number, line in enumerate(file, start=1):
                if len(line) > LONGEST_LINE_BYTES:
                    raise UnreadableInput(
                        f"line {number} has more than {LONGEST_LINE_BYTES} bytes: shorten it"
                    )
                if line.strip():
                    yield self._as_json(line, number)

    def _as_json(self, line: bytes, number: int) -> bytes:
        if self.line_format is LineFormat.NDJSON:
            return line.strip() + b"\n"
        try:
            text = line.decode().strip().removeprefix("\ufeff")
        except UnicodeDecodeError:
            raise UnreadableInput(
                f"line {number} is not UTF-8: convert the file, for example with iconv"
            ) from None
        return json.dumps(text, ensure_ascii=False).encode() + b"\n"

    def _look(self) -> LineFormat:
        """NDJSON when the first line with text is a JSON string, object or list."""
        with self._open() as file:
            for line in file:
                if line.strip():
                    return LineFormat.NDJSON if _is_json(line.strip()) else LineFormat.LINES
        raise UnreadableInput("there is no line with an input")

    def _open(self) -> IO[bytes]:
        try:
            return self._path.open("rb")
        except OSError as error:
            raise UnreadableInput(f"{self._path} cannot be read: {error.strerror}") from None


@contextmanager
def open_input(name: str, line_format: LineFormat) -> Iterator[BatchInput]:
    """The inputs of a file; of standard input for -, which is kept on disk to be sent again."""
    if name != "-":
        yield BatchInput(Path(name), line_format)
        return
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield BatchInput(Path(copy.name), line_format)


def _is_json(line: bytes) -> bool:
    if line[:1] not in b'"{[':
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
