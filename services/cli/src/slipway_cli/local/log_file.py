"""Log files of child processes, with a bounded size."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

READ_BYTES = 65_536
MAX_FILE_BYTES = 10_000_000
OLD_FILES = 3
"""Number of rotated files: `x.log.1` and so on."""
ERROR_LEVELS = ("error", "critical")
_ERROR_MARKS = tuple(f'"{level}"'.encode() for level in ERROR_LEVELS)


class LogFile:
    """A log file that is rotated when it exceeds MAX_FILE_BYTES."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_error = ""
        """The last error line or the last line of a crash. A critical line, by which a service
        reports why it ends, is not replaced by later errors.
        """
        self._critical = False
        self._thread: threading.Thread | None = None

    def follow(self, output: IO[bytes]) -> None:
        """Copy lines in a thread of its own until the child closes its end."""
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
                if writer.tell() > MAX_FILE_BYTES:
                    writer.close()
                    self._rotate()
                    writer = self.path.open("ab")
                writer.write(lines)
                writer.flush()
                for line in lines.split(b"\n"):
                    self._remember_error(line)
        writer.close()

    def _rotate(self) -> None:
        for number in range(OLD_FILES, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = (
                self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            )
            if newer.exists():
                newer.replace(older)

    def _remember_error(self, line: bytes) -> None:
        if line.startswith(b"{") and not any(mark in line for mark in _ERROR_MARKS):
            return  # most lines: one per request
        if self._critical:
            return
        text = line.decode(errors="replace").strip()
        try:
            event = json.loads(text)
        except ValueError:
            # Not JSON: a traceback, whose last line names the exception.
            self.last_error = text or self.last_error
            return
        if isinstance(event, dict) and event.get("level") in ERROR_LEVELS:
            parts = (event.get(name) for name in ("event", "cause", "exception"))
            self.last_error = ": ".join(summarise_error(str(part)) for part in parts if part)
            self._critical = event["level"] == "critical"


def summarise_error(text: str) -> str:
    """Return the most telling line of an error: the first, or the exception of a traceback.

    Later lines may be the statement that PostgreSQL rejected. Return "" for an empty text.
    """
    lines = text.strip().split("\n")
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    after = lines[frames[-1] + 1 :] if frames else lines
    return next((line for line in after if not line.startswith(" ")), lines[-1])


def _read_lines(output: BufferedReader) -> Iterator[bytes]:
    """Yield what was written, as soon as it is, in blocks of complete lines."""
    incomplete = b""
    while block := output.read1(READ_BYTES):
        lines, newline, incomplete = (incomplete + block).rpartition(b"\n")
        if newline:
            yield lines + newline
    if incomplete:
        yield incomplete
