"""`make bench-profile`: record flame graphs of the server and its engines.

    python -m tests.benchmarks.flamegraph [--seconds 20] [--clients 32] [--folder build/profile]

Requires py-spy and permission to trace other processes: root, or kernel.yama.ptrace_scope=0 and
SLIPWAY_SANDBOX=off.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import psutil
from tests.benchmarks.command import run_benchmark
from tests.benchmarks.load import BenchmarkFailed, Load, run_load
from tests.benchmarks.local_slipway import run_slipway
from tests.benchmarks.report import progress
from tests.benchmarks.texts import lognormal_texts

PY_SPY = Path(sys.executable).with_name("py-spy")
TEXTS = 1000
SAMPLES_PER_SECOND = 200
WARM_UP_SECONDS = 3


def main() -> int:
    """Record flame graphs under load. Returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--folder", type=Path, default=Path("build/profile"))
    options = parser.parse_args()
    return run_benchmark(lambda: _record(options.clients, options.seconds, options.folder))


def _record(clients: int, seconds: int, folder: Path) -> None:
    if not PY_SPY.exists():
        raise BenchmarkFailed("py-spy is not installed: .venv/bin/python -m pip install py-spy")
    folder.mkdir(parents=True, exist_ok=True)
    texts = lognormal_texts(TEXTS)
    with run_slipway() as slipway:
        run_load(slipway.target, texts, Load(clients, WARM_UP_SECONDS))
        engines = psutil.Process(slipway.inference_pid).children()
        pids = {"server": slipway.inference_pid}
        pids |= {f"engine-{number}": child.pid for number, child in enumerate(engines, start=1)}
        recorders = [
            (folder / f"{name}.svg", _start(pid, folder / f"{name}.svg", seconds))
            for name, pid in pids.items()
        ]
        result = run_load(slipway.target, texts, Load(clients, seconds + WARM_UP_SECONDS))
        progress(f"{clients} clients, {result.requests_per_second:.0f} requests/s while recording")
        for graph, recorder in recorders:
            output = recorder.communicate(timeout=120)[0]
            if recorder.returncode != 0:
                raise BenchmarkFailed(f"py-spy failed: {output.strip()}")
            progress(f"wrote {graph}")


def _start(pid: int, graph: Path, seconds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            str(PY_SPY),
            "record",
            f"--pid={pid}",
            f"--duration={seconds}",
            f"--rate={SAMPLES_PER_SECOND}",
            f"--output={graph}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


if __name__ == "__main__":
    sys.exit(main())
