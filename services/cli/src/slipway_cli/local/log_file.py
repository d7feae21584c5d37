"""Copies what a child process writes into a file of bounded size."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

READ_BYTES = 65_536
LARGEST_BYTES = 10_000_000
KEPT_FILES = 3
ERROR_LEVELS = ("error", "critical")
_ERROR_MARKS = tuple(f'"{level}"'.encode() for level in ERROR_LEVELS)


class LogFile:
    """A file of log lines with up to KEPT_FILES older ones beside it: `x.log.1` and so on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_error = ""
        """What the last line of level error says, or the last line of a crash. A critical line, by
        which a service says why it ends, stands against what fails while it does.
        """
        self._critical = False
        self._thread: threading.Thread | None = None

    def follow(self, output: IO[bytes]) -> None:
        """Copy lines until the child closes its end; runs beside the caller."""
        self.last_error, self._critical = "", False
        self._thread = threading.Thread(target=self._copy, args=(output,), daemon=True)
        self._thread.start()

    def finish(self, timeout_seconds: float = 5) -> None:
        """Wait until the last line of an ended child is written."""
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _copy(self, output: IO[bytes]) -> None:
        writer = self.path.open("ab")
        with output:
            for lines in _read_lines(cast(BufferedReader, output)):
                if writer.tell() > LARGEST_BYTES:
                    writer.close()
                    self._rotate()
                    writer = self.path.open("ab")
                writer.write(lines)
                writer.flush()
                for line in lines.splitlines():
                    self._remember(line)
        writer.close()

    def _rotate(self) -> None:
        for number in range(KEPT_FILES, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = (
                self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            )
            if newer.exists():
                newer.replace(older)

    def _remember(self, line: bytes) -> None:
        if line.startswith(b"{") and not any(mark in line for mark in _ERROR_MARKS):
            return  # nearly every line: one for each request
        if self._critical:
            return
        text = line.decode(errors="replace").strip()
        try:
            event = json.loads(text)
        except ValueError:
            # Not one of our lines: a traceback, whose last line says what happened.
            self.last_error = text or self.last_error
            return
        if isinstance(event, dict) and event.get("level") in ERROR_LEVELS:
            said = [str(event[name]) for name in ("event", "cause", "exception") if event.get(name)]
            self.last_error = ": ".join(map(essence, said))
            self._critical = event["level"] == "critical"


def essence(said: str) -> str:
    """The line that says what happened: the first one, of a traceback the first after the last
    frame. What follows may be the statement that PostgreSQL refused. Empty when nothing was said.
    """
    lines = said.strip().splitlines() or [""]
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    after = lines[frames[-1] + 1 :] if frames else lines
    return next((line for line in after if not line.startswith(" ")), lines[-1])


def _read_lines(output: BufferedReader) -> Iterator[bytes]:
    """What has been written, as soon as it has, in pieces that end with a line."""
    begun = b""
    while read := output.read1(READ_BYTES):
        lines, newline, begun = (begun + read).rpartition(b"\n")
        if newline:
            yield lines + newline
    if begun:
        yield begun
