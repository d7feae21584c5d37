"""Tables of measurements, and their sections in docs/performance.md."""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.load import BenchmarkFailed

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@dataclass(frozen=True)
class Spread:
    """The median, minimum and maximum of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def show(self, digits: int = 0) -> str:
        """Return `median (low to high)`, or one number if all are equal when rounded."""
        median, low, high = (f"{value:.{digits}f}" for value in (self.median, self.low, self.high))
        return median if low == high else f"{median} ({low} to {high})"


def make_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    padded = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def replace_section(page: str, name: str, content: str) -> str:
    """Return the page with `content` between the markers of the section.

    Raises BenchmarkFailed unless the page has the markers exactly once.
    """
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    replaced, count = pattern.subn(lambda match: f"{match[1]}\n{content}\n\n{match[2]}", page)
    if count != 1:
        raise BenchmarkFailed(f"{PAGE.name} must have the markers {begin} and {end} once")
    return replaced


def publish(name: str, content: str, *, write: bool) -> None:
    """Print a section, and write it into the page if `write` is set."""
    sys.stdout.write(f"\n{content}\n")
    if write:
        PAGE.write_text(replace_section(PAGE.read_text(), name, content))
        sys.stdout.write(f"\nwritten to {PAGE}\n")


def progress(text: str) -> None:
    """Print a line of progress to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
