"""The most texts a second that this machine computes in process: what a server is held against.

Nothing is between the texts and the model: no HTTP, no queue, no database. The processes that hold
the model are kept for the whole benchmark, so that measurements of the limit and of a server can
alternate; while one is measured the other waits.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.benchmarks.load import BenchmarkFailed

from slipway_core.engines.cores import available_cores
from slipway_core.engines.environment import engine_environment
from slipway_core.errors import ModelLoadFailed

TEXTS = 1000


@dataclass(frozen=True)
class Layout:
    """How the cores are shared: so many processes with so many threads each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads}"


@dataclass(frozen=True)
class InProcess:
    """Texts a second without a server: in the fastest layout, and in one process on all threads."""

    limit: float
    one_process: float


class LimitProcess:
    """A process of its own that computes windows of texts on `threads` threads when it is told."""

    def __init__(self, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.limit", f"--threads={threads}"],
            env=engine_environment(os.environ, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, window: int, seconds: float) -> None:
        """Compute windows of `window` texts for about `seconds`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{window} {seconds}\n")
        self._process.stdin.flush()

    def texts_per_second(self) -> float:
        """Wait for the end of what `begin` began."""
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise BenchmarkFailed("the process that measures the limit has ended; see above")
        return float(answer)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


class Limit:
    """Measures in the layout that is the fastest for a window, by one try of each before."""

    def __init__(self, processes: dict[Layout, list[LimitProcess]], seconds: float) -> None:
        self._processes = processes
        self._seconds = seconds
        self._best: dict[int, Layout] = {}

    def measure(self, window: int) -> float:
        """Texts a second with `window` texts in flight."""
        return self.measure_in(self.layout_of(window), window)

    def measure_beside_one_process(self, window: int, layout: Layout | None = None) -> InProcess:
        """The same, in `layout` when it is given, and what one process on all threads computes."""
        layout = layout or self.layout_of(window)
        one_process = Layout(1, available_cores())
        limit = self.measure_in(layout, window)
        same = layout == one_process
        return InProcess(limit, limit if same else self.measure_in(one_process, window))

    def layout_of(self, window: int) -> Layout:
        """The layout that is the fastest for the window."""
        if window not in self._best:
            rates = {layout: self.measure_in(layout, window) for layout in self._processes}
            self._best[window] = max(rates, key=rates.__getitem__)
        return self._best[window]

    def measure_in(self, layout: Layout, window: int) -> float:
        """The same in a given layout; its processes share the window."""
        sharing = self._processes[layout][:window]
        for number, process in enumerate(sharing):
            share = window // len(sharing) + (number < window % len(sharing))
            process.begin(share, self._seconds)
        return sum(process.texts_per_second() for process in sharing)


@contextmanager
def open_limit(seconds: float, also: Layout | None = None) -> Iterator[Limit]:
    """Measures for `seconds` at a time, in both ways to use all cores and in `also`."""
    cores = available_cores()
    layouts = {Layout(1, cores), Layout(cores, 1), *([also] if also else ())}
    with ExitStack() as stack:
        processes: dict[Layout, list[LimitProcess]] = {}
        for layout in sorted(layouts, key=str):
            processes[layout] = [LimitProcess(layout.threads) for _ in range(layout.processes)]
            for process in processes[layout]:
                stack.callback(process.stop)
        yield Limit(processes, seconds)


def _compute_when_told(threads: int) -> None:
    """The child: read lines `window seconds`, write a rate for each."""
    # Imported here: the process that drives the benchmark has no use for torch.
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
    _compute_when_told(parser.parse_args().threads)
