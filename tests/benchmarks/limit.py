"""Measure the limit of this machine: the texts per second that it computes without a server.

There is no HTTP, queue or database between the texts and the model. The processes that hold the
model are kept during the benchmark, so that measurements of the limit and of a server can
alternate. While one is measured, the other is idle.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.load import BenchmarkFailed

from slipway_core.engines.cores import available_cores
from slipway_core.engines.environment import engine_environment
from slipway_core.errors import ModelLoadFailed

TEXTS = 1000


@dataclass(frozen=True)
class Layout:
    """The number of processes that share the cores, and the threads of each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads}"


@dataclass(frozen=True)
class InProcess:
    """Texts per second without a server: in the fastest layout, and in one process."""

    limit: float
    one_process: float


class LimitProcess:
    """A child process that computes windows of texts on `threads` threads."""

    def __init__(self, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.limit", f"--threads={threads}"],
            env=engine_environment(os.environ, threads, Path(tempfile.gettempdir())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, window: int, seconds: float) -> None:
        """Start to compute windows of `window` texts for about `seconds`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{window} {seconds}\n")
        self._process.stdin.flush()

    def texts_per_second(self) -> float:
        """Wait for the end of the computation, and return its rate."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed("the process that measures the limit has ended; see above")
        return float(line)

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()


class Limit:
    """The limit for windows of texts, in the layout that is fastest for each window."""

    def __init__(self, processes: dict[Layout, list[LimitProcess]], seconds: float) -> None:
        self._processes = processes
        self._seconds = seconds
        self._best: dict[int, Layout] = {}

    def measure(self, window: int) -> float:
        """Return the texts per second with `window` texts in flight."""
        return self.measure_in(self.layout_of(window), window)

    def measure_with_one_process(self, window: int, layout: Layout | None = None) -> InProcess:
        """Return the rates in `layout` (default: the fastest) and in one process on all cores."""
        layout = layout or self.layout_of(window)
        one_process = Layout(1, available_cores())
        limit = self.measure_in(layout, window)
        same = layout == one_process
        return InProcess(limit, limit if same else self.measure_in(one_process, window))

    def layout_of(self, window: int) -> Layout:
        """Return the fastest layout for the window, which a trial of each finds."""
        if window not in self._best:
            rates = {layout: self.measure_in(layout, window) for layout in self._processes}
            self._best[window] = max(rates, key=rates.__getitem__)
        return self._best[window]

    def measure_in(self, layout: Layout, window: int) -> float:
        """Return the texts per second in a layout, whose processes share the window."""
        sharing = self._processes[layout][:window]
        for number, process in enumerate(sharing):
            share = window // len(sharing) + (number < window % len(sharing))
            process.begin(share, self._seconds)
        return sum(process.texts_per_second() for process in sharing)


@contextmanager
def open_limit(seconds: float, also: Layout | None = None) -> Iterator[Limit]:
    """Yield a Limit that measures for `seconds`, in both layouts with all cores and in `also`."""
    cores = available_cores()
    layouts = {Layout(1, cores), Layout(cores, 1), *([also] if also else ())}
    with ExitStack() as stack:
        processes: dict[Layout, list[LimitProcess]] = {}
        for layout in sorted(layouts, key=str):
            processes[layout] = [LimitProcess(layout.threads) for _ in range(layout.processes)]
            for process in processes[layout]:
                stack.callback(process.stop)
        yield Limit(processes, seconds)


def _compute_on_request(threads: int) -> None:
    """Run the child process: read lines `window seconds`, and write a rate for each."""
    # Imported here because the parent process does not need torch.
    from tests.benchmarks.encoder import load, measure
    from tests.benchmarks.texts import lognormal_texts

    from slipway_core.inputs.items import Item

    try:
        model = load("bf16", threads)
    except ModelLoadFailed:
        model = load("fp32", threads)
    items = [Item("text", text) for text in lognormal_texts(TEXTS)]
    for line in sys.stdin:
        window, seconds = line.split()
        sys.stdout.write(f"{measure(model, items, int(window), float(seconds))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    _compute_on_request(parser.parse_args().threads)
