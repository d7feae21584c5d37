"""Inputs of a batch job, read as NDJSON lines from a file or standard input in constant memory."""

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

MAX_LINE_BYTES = 8 * 1024 * 1024


class LineFormat(StrEnum):
    """Formats of a line: `ndjson` for JSON, `lines` for plain text, `auto` to detect it."""

    AUTO = "auto"
    NDJSON = "ndjson"
    LINES = "lines"


class UnreadableInput(Exception):
    """The file or one of its lines cannot be read."""


class BatchInput:
    """A file of inputs, one per line, which can be read several times; empty lines are skipped."""

    def __init__(self, path: Path, line_format: LineFormat) -> None:
        self._path = path
        if line_format is LineFormat.AUTO:
            line_format = self._detect_format()
        self.line_format = line_format

    def lines(self) -> Iterator[bytes]:
        """Yield each input as a line of JSON with its line break. Raises UnreadableInput."""
        with self._open() as file:
            for number, line in enumerate(_lines(file), start=1):
                if len(line) > MAX_LINE_BYTES:
                    raise UnreadableInput(
                        f"line {number} has more than {MAX_LINE_BYTES} bytes: shorten it"
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

    def _detect_format(self) -> LineFormat:
        """Return NDJSON if the first non-empty line is a JSON string, object or list."""
        with self._open() as file:
            for line in _lines(file):
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
    """Open the inputs of a file, or for `-` those of standard input, copied to disk for retries."""
    if name != "-":
        yield BatchInput(Path(name), line_format)
        return
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield BatchInput(Path(copy.name), line_format)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield lines, which end at line feeds alone; of longer ones only what shows that they are."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line


def _is_json(line: bytes) -> bool:
    if line[:1] not in b'"{[':
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
